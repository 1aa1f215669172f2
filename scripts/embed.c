/* embed OUTPUT NAME=PATH…: writes OUTPUT, a C file with every Lua module in compiled form, so that the program needs no
   file at run time and no time to compile. Run by the build, with the Lua library that is linked into the program.

   A module's chunk name is "=dmlua/FILE.lua": it shows a real path in tracebacks, and its "=" tells our frames from an
   author's, whose chunk names begin with "@". Line numbers are kept. A file that does not compile fails the build. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct output {
    FILE *file;
    size_t size; /* bytes of the module so far */
};

static int write_bytes(lua_State *L, const void *bytes, size_t size, void *data)
{
    struct output *output = data;
    const unsigned char *byte = bytes;
    size_t i;
    (void)L;
    for (i = 0; i < size; i++)
        fprintf(output->file, "%u,%s", byte[i], ++output->size % 32 == 0 ? "\n" : "");
    return ferror(output->file);
}

/* The chunk name of module "dmlua.op": "=dmlua/op.lua". Owned. */
static char *chunk_name(const char *module)
{
    size_t size = strlen(module);
    char *name = malloc(size + 6);
    size_t i;
    if (name == NULL)
        abort();
    name[0] = '=';
    for (i = 0; i < size; i++)
        name[i + 1] = module[i] == '.' ? '/' : module[i];
    strcpy(name + size + 1, ".lua");
    return name;
}

/* [-0, +1] The whole file as a string, or nothing: returns 0. */
static int push_file(lua_State *L, const char *path)
{
    FILE *file = fopen(path, "rb");
    luaL_Buffer buffer;
    size_t size;
    if (file == NULL) {
        perror(path);
        return 0;
    }
    luaL_buffinit(L, &buffer);
    do {
        size = fread(luaL_prepbuffer(&buffer), 1, LUAL_BUFFERSIZE, file);
        luaL_addsize(&buffer, size);
    } while (size > 0);
    luaL_pushresult(&buffer);
    fclose(file);
    return 1;
}

static int embed(lua_State *L, struct output *output, const char *module, const char *path, int number)
{
    char *name = chunk_name(module);
    size_t size;
    const char *text = push_file(L, path) ? lua_tolstring(L, -1, &size) : NULL;
    int status = text == NULL ? LUA_ERRFILE : luaL_loadbufferx(L, text, size, name, "t");
    free(name);
    if (status != LUA_OK) {
        if (text != NULL)
            fprintf(stderr, "%s: %s\n", path, lua_tostring(L, -1));
        return -1;
    }
    output->size = 0;
    fprintf(output->file, "static const unsigned char module_%d[] = {\n", number);
    status = lua_dump(L, write_bytes, output, 0);
    fputs("};\n\n", output->file);
    lua_settop(L, 0);
    return status == 0 ? 0 : -1;
}

static int write_modules(lua_State *L, struct output *output, int count, char **modules)
{
    int i;
    fputs("/* Made by scripts/embed.c. */\n#include \"host/embedded.h\"\n\n", output->file);
    for (i = 0; i < count; i++) {
        char *path = strchr(modules[i], '=');
        if (path == NULL)
            return -1;
        *path = '\0';
        if (embed(L, output, modules[i], path + 1, i) != 0)
            return -1;
    }
    fputs("const struct embedded embedded_modules[] = {\n", output->file);
    for (i = 0; i < count; i++) {
        char *name = chunk_name(modules[i]);
        fprintf(output->file, "    {\"%s\", \"%s\", module_%d, sizeof module_%d},\n", modules[i], name, i, i);
        free(name);
    }
    fputs("    {0, 0, 0, 0},\n};\n", output->file);
    return ferror(output->file) ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct output output = {0};
    lua_State *L = luaL_newstate();
    int rc;
    if (argc < 2 || L == NULL)
        return EXIT_FAILURE;
    output.file = fopen(argv[1], "w");
    if (output.file == NULL) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    rc = write_modules(L, &output, argc - 2, argv + 2);
    if (fclose(output.file) != 0)
        rc = -1;
    if (rc != 0)
        remove(argv[1]);
    lua_close(L);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

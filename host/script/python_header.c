/* The header of a Python file → a script. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/text.h"
#include "host/script/internal.h"
#include "host/script/python.h"
#include "host/state.h"
#include "host/trace.h"
#include "host/utf8.h"

int script_fault(const struct script *script, struct error *error)
{
    error_set(error, ERROR_USAGE, "unreadable header: %s", script->fault);
    error_text(&error->file, "%s", script->path);
    error->line = script->fault_line;
    error_text(
        &error->hint,
        "dmlua reads literals only and runs no Python: write the text itself there (\"…\", None, (\"…\", \"…\")), "
        "or port the file to Lua: beside a .lua of the same revision it is passed over");
    trace_source(error);
    return -1;
}

static const char *const *move_list(struct python_list *list, size_t *count)
{
    const char *const *texts = (const char *const *)list->texts;
    *count = list->count;
    *list = (struct python_list){0};
    return texts;
}

static void move_text(const char **to, char **from)
{
    *to = *from;
    *from = NULL;
}

/* The script takes over what was read. */
static void take(struct script *script, struct python_header *header)
{
    if (header->fields[PYTHON_REVISION].count == 1)
        move_text(&script->revision, &header->fields[PYTHON_REVISION].texts[0]);
    script->down = move_list(&header->fields[PYTHON_DOWN], &script->down_count);
    script->labels = move_list(&header->fields[PYTHON_LABELS], &script->label_count);
    script->depends = move_list(&header->fields[PYTHON_DEPENDS], &script->depends_count);
    move_text(&script->fault, &header->fault);
    script->fault_line = header->fault_line;
    script->has_upgrade = header->has_upgrade;
    script->has_downgrade = header->has_downgrade;
}

/* [-0, +0] Sets `name` of the table at the top. */
static void put_list(lua_State *L, const char *name, const char *const *list, size_t count)
{
    size_t i;
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_pushstring(L, list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, name);
}

static void put_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* [-0, +0] lua/dmlua/header.lua looks at the names. */
static void check_header(lua_State *L, const struct script *script, const char *text, size_t size)
{
    lua_getfield(L, 1, "python_header");
    lua_createtable(L, 0, 6);
    lua_pushlstring(L, text, size);
    lua_setfield(L, -2, "text");
    put_text(L, "path", script->path);
    put_text(L, "revision", script->revision);
    put_list(L, "down", script->down, script->down_count);
    put_list(L, "labels", script->labels, script->label_count);
    put_list(L, "depends", script->depends, script->depends_count);
    lua_call(L, 1, 0);
}

/* A file may say `coding: latin-1`; of all encodings that one needs no table. Takes the text over. */
static char *to_utf8(char *text)
{
    size_t size = strlen(text), i;
    char *wide, *to;
    if (utf8_valid(text, size) == size)
        return text;
    to = wide = text_resize(NULL, 2 * size + 1);
    for (i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x80)
            *to++ = (char)(0xc0 | byte >> 6);
        *to++ = (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte);
    }
    *to = '\0';
    free(text);
    return wide;
}

void python_header_read(lua_State *L, struct script *script, const char *text, size_t size)
{
    struct python_header header;
    struct error error = {0};
    python_read(text, size, &header);
    take(script, &header);
    comment_take(script, to_utf8(header.doc != NULL ? header.doc : text_copy("")));
    header.doc = NULL;
    python_free(&header);
    if (script->revision == NULL) {
        script_fault(script, &error);
        state_raise(L, &error);
    }
    if (script->fault == NULL)
        check_header(L, script, text, size);
}

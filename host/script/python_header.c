/* The header of a Python file → a script. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "host/script/internal.h"
#include "host/script/python.h"
#include "host/state.h"
#include "host/trace.h"

int script_fault(const struct script *script, struct error *error)
{
    error_set(error, ERROR_USAGE, "unreadable header: %s", script->fault);
    error_text(&error->file, "%s", script->path);
    error->line = script->fault_line;
    error_text(&error->hint,
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
    move_text(&script->doc, &header->doc);
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

/* [-1, +1] The text → what lua/dmlua/header.lua says of the file. */
static void call_header(lua_State *L, const struct script *script)
{
    lua_getfield(L, 1, "python_header");
    lua_createtable(L, 0, 8);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "text");
    put_text(L, "path", script->path);
    put_text(L, "revision", script->revision);
    put_text(L, "doc", script->doc);
    put_list(L, "down", script->down, script->down_count);
    put_list(L, "labels", script->labels, script->label_count);
    put_list(L, "depends", script->depends, script->depends_count);
    lua_call(L, 1, 1);
    lua_replace(L, -2);
}

static void replace_text(const char **field, char *text)
{
    error_put((char **)field, text);
    free(text);
}

void python_header_read(lua_State *L, struct script *script)
{
    struct python_header header;
    struct error error = {0};
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    python_read(text, size, &header);
    take(script, &header);
    python_free(&header);
    if (script->revision == NULL) {
        script_fault(script, &error);
        state_raise(L, &error);
    }
    if (script->fault != NULL) {
        lua_pop(L, 1);
        return;
    }
    call_header(L, script);
    replace_text(&script->message, script_field(L, "message"));
    replace_text(&script->doc, script_field(L, "doc"));
    replace_text(&script->create_date, script_field(L, "create_date"));
    lua_pop(L, 1);
}

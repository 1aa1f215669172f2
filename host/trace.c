#include "host/trace.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = 400,     /* levels that are looked at: an endless recursion has a hundred thousand */
    SHOWN = 20,      /* frames in a traceback */
    SOURCE_MAX = 200 /* bytes of a source line that are shown */
};

static bool is_file(const lua_Debug *frame)
{
    return frame->source[0] == '@';
}

static bool is_author(const lua_Debug *frame)
{
    return *frame->what != 'C' && frame->source[0] != '=';
}

/* The line number behind "SHOWN:" at the head of the message, and where the text after it begins; 0 if there
 * is none. */
static int read_place(const char *message, const char *shown, const char **rest)
{
    size_t size = strlen(shown);
    char *end;
    long line;
    if (strncmp(message, shown, size) != 0 || message[size] != ':')
        return 0;
    line = strtol(message + size + 1, &end, 10);
    if (line <= 0 || strncmp(end, ": ", 2) != 0)
        return 0;
    *rest = end + 2;
    return (int)line;
}

static void cut_place(struct error *error, const char *rest)
{
    char *message = strdup(rest);
    if (message == NULL)
        return;
    free(error->message);
    error->message = message;
}

static void take_message_place(struct error *error, const lua_Debug *frame)
{
    const char *rest;
    int line = error->message != NULL ? read_place(error->message, frame->short_src, &rest) : 0;
    if (line == 0)
        return;
    error->line = line;
    error_text(&error->file, "%s", frame->source + 1);
    cut_place(error, rest);
}

static void take_frame_place(struct error *error, const lua_Debug *frame)
{
    error->line = frame->currentline > 0 ? frame->currentline : 0;
    error_text(&error->file, "%s", frame->source + 1);
}

/* One pass over the author's frames, nearest first. */
static void find_place(lua_State *stack, struct error *error)
{
    lua_Debug frame, nearest = {0};
    int level;
    for (level = 0; level < DEPTH && lua_getstack(stack, level, &frame); level++) {
        lua_getinfo(stack, "Sl", &frame);
        if (!is_author(&frame) || !is_file(&frame))
            continue;
        if (nearest.source == NULL)
            nearest = frame;
        take_message_place(error, &frame);
        if (error->file != NULL)
            return;
    }
    if (nearest.source != NULL)
        take_frame_place(error, &nearest);
}

/* [-0, +1] The globals of the function at the top: a table, or nil. */
static void push_globals(lua_State *stack)
{
    const char *name;
    int i;
    for (i = 1; (name = lua_getupvalue(stack, -1, i)) != NULL; i++) {
        if (strcmp(name, "_ENV") == 0)
            return;
        lua_pop(stack, 1);
    }
    lua_pushnil(stack);
}

/* The global that holds the frame's function, as `upgrade` does when it is called from outside of Lua; or
   null. The name lives as long as the global. */
static const char *global_name(lua_State *stack, lua_Debug *frame)
{
    const char *name = NULL;
    int top = lua_gettop(stack);
    if (!lua_checkstack(stack, 5))
        return NULL;
    lua_getinfo(stack, "f", frame);
    push_globals(stack);
    if (lua_istable(stack, -1))
        lua_pushnil(stack);
    while (name == NULL && lua_istable(stack, top + 2) && lua_next(stack, top + 2) != 0) {
        if (lua_type(stack, -2) == LUA_TSTRING && lua_rawequal(stack, -1, top + 1))
            name = lua_tostring(stack, -2);
        lua_pop(stack, 1);
    }
    lua_settop(stack, top);
    return name;
}

static void print_frame(FILE *out, lua_State *stack, lua_Debug *frame)
{
    const char *global = frame->name == NULL && *frame->what == 'L' ? global_name(stack, frame) : NULL;
    fprintf(out, "\n%s:", is_file(frame) ? frame->source + 1 : frame->short_src);
    if (frame->currentline > 0)
        fprintf(out, "%d:", frame->currentline);
    if (*frame->what == 'm')
        fprintf(out, " at top level");
    else if (global != NULL)
        fprintf(out, " in function '%s'", global);
    else if (frame->name != NULL)
        fprintf(out, " in %s '%s'", *frame->namewhat == 'm' ? frame->namewhat : "function", frame->name);
    else
        fprintf(out, " in the function of line %d", frame->linedefined);
}

/* Owned; null when there is no author's frame. */
static char *make_traceback(lua_State *stack)
{
    char *text = NULL;
    size_t size;
    lua_Debug frame;
    int level, shown = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (level = 0; level < DEPTH && shown <= SHOWN && lua_getstack(stack, level, &frame); level++) {
        lua_getinfo(stack, "Sln", &frame);
        if (!is_author(&frame))
            continue;
        if (shown++ == 0)
            fputs("traceback:", out);
        if (shown <= SHOWN)
            print_frame(out, stack, &frame);
        else
            fputs("\n…", out);
    }
    fclose(out);
    if (shown > 0)
        return text;
    free(text);
    return NULL;
}

void trace_fill(lua_State *stack, struct error *error)
{
    if (error->file == NULL)
        find_place(stack, error);
    if (error->traceback == NULL)
        error->traceback = make_traceback(stack);
}

void trace_syntax(const char *path, struct error *error)
{
    const char *rest, *colon;
    int line;
    /* Lua shows the end of a long name only, so the name is not compared. */
    for (colon = strchr(error->message, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        line = read_place(colon, "", &rest);
        if (line == 0)
            continue;
        error->line = line;
        error_text(&error->file, "%s", path);
        cut_place(error, rest);
        return;
    }
}

void trace_source(struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t length = -1;
    int line;
    FILE *file;
    if (error->source != NULL || error->file == NULL || error->line <= 0)
        return;
    file = fopen(error->file, "re");
    if (file == NULL)
        return;
    for (line = 0; line < error->line; line++)
        if ((length = getline(&text, &size, file)) < 0)
            break;
    fclose(file);
    if (length > 0) {
        text[strcspn(text, "\r\n")] = '\0';
        error_text(&error->source, "%.*s", SOURCE_MAX, text);
    }
    free(text);
}

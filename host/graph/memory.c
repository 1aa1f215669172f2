#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/internal.h"

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, size;
    max_align_t data[];
};

void *memory_take(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);
    if (block == NULL)
        abort();
    return block;
}

void *memory_grow(void *block, size_t count, size_t size)
{
    void *grown = reallocarray(block, count, size);
    if (grown == NULL)
        abort();
    return grown;
}

static void pool_grow(struct pool *pool, size_t least)
{
    size_t size = least > 16000 ? least : 16000;
    struct pool_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        abort();
    chunk->next = pool->chunk;
    chunk->used = 0;
    chunk->size = size;
    pool->chunk = chunk;
}

void *pool_take(struct pool *pool, size_t count, size_t size)
{
    size_t bytes = (count * size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
    void *block;
    if (pool->chunk == NULL || pool->chunk->size - pool->chunk->used < bytes)
        pool_grow(pool, bytes);
    block = (char *)pool->chunk->data + pool->chunk->used;
    pool->chunk->used += bytes;
    return block;
}

const char *pool_text(struct pool *pool, const char *text)
{
    size_t size;
    if (text == NULL)
        return NULL;
    size = strlen(text) + 1;
    return memcpy(pool_take(pool, size, 1), text, size);
}

void pool_free(struct pool *pool)
{
    while (pool->chunk != NULL) {
        struct pool_chunk *next = pool->chunk->next;
        free(pool->chunk);
        pool->chunk = next;
    }
}

static void text_append(struct text *text, const char *format, va_list args)
{
    va_list again;
    int length;
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    if (length < 0)
        abort();
    if (text->length + (size_t)length + 1 > text->capacity) {
        text->capacity = (text->length + (size_t)length + 1) * 2;
        text->at = memory_grow(text->at, text->capacity, 1);
    }
    vsnprintf(text->at + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
    va_end(again);
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_append(text, format, args);
    va_end(args);
}

int graph_fail(struct graph_error *error, const char *format, ...)
{
    struct text text = {0};
    va_list args;
    if (error->message != NULL)
        return -1;
    va_start(args, format);
    text_append(&text, format, args);
    va_end(args);
    error->message = text.at;
    return -1;
}

void graph_hint(struct graph_error *error, const char *format, ...)
{
    struct text text = {0};
    va_list args;
    if (error->hint != NULL)
        return;
    va_start(args, format);
    text_append(&text, format, args);
    va_end(args);
    error->hint = text.at;
}

void graph_error_clear(struct graph_error *error)
{
    free(error->message);
    free(error->hint);
    *error = (struct graph_error){0};
}

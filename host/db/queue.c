/* What was sent and has not been answered. */
#include <stdlib.h>
#include <string.h>

#include "host/db/stream.h"

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *text_copy(char **at, const char *text)
{
    size_t size = text_size(text);
    char *copy = *at;
    if (text == NULL)
        return NULL;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

struct entry *entry_add(struct db *db, enum entry_kind kind, const struct db_statement *statement)
{
    const struct origin *origin = &statement->origin;
    size_t size = sizeof(struct entry) + text_size(statement->sql) + text_size(origin->revision) +
                  text_size(origin->file) + text_size(origin->tenant);
    struct entry *entry = malloc(size);
    char *at;
    if (entry == NULL)
        abort();
    at = (char *)(entry + 1);
    memset(entry, 0, sizeof *entry);
    entry->kind = kind;
    entry->size = size;
    entry->scope = db->scope;
    db->held += size;
    if (entry->scope != NULL)
        entry->scope->pending++;
    entry->statement = *statement;
    entry->statement.values = NULL;
    entry->statement.sql = text_copy(&at, statement->sql);
    entry->statement.origin.revision = text_copy(&at, origin->revision);
    entry->statement.origin.file = text_copy(&at, origin->file);
    entry->statement.origin.tenant = text_copy(&at, origin->tenant);
    if (db->last != NULL)
        db->last->next = entry;
    else
        db->first = entry;
    db->last = entry;
    return entry;
}

void entry_drop_first(struct db *db)
{
    struct entry *entry = db->first;
    db->first = entry->next;
    if (db->first == NULL)
        db->last = NULL;
    db->held -= entry->size;
    if (entry->scope != NULL)
        entry->scope->pending--;
    free(entry);
}

void stream_free(struct db *db)
{
    while (db->first != NULL)
        entry_drop_first(db);
}

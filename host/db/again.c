/* Texts that a loop sends again and again: prepared by name once that is certain, so that the server reads and plans
   them once and not for every tenant. */
#include <stdlib.h>
#include <string.h>

#include "host/db/stream.h"
#include "host/first_word.h"

enum {
    TIMES = 3,      /* that a text is sent before it is prepared */
    LONGEST = 8192  /* bytes of a text that is kept */
};

/* What PostgreSQL keeps a plan for. */
static bool is_planned(const char *sql)
{
    static const char *const words[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES"};
    char word[16];
    size_t i;
    first_word(sql, word, sizeof word);
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* FNV-1a */
static unsigned hash_text(const char *text)
{
    unsigned hash = 2166136261u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* The text's own place; or that of another one, which is not prepared, to be taken. Null: all are prepared. */
static struct again *find(struct db *db, const char *sql, unsigned hash)
{
    struct again *free_place = NULL;
    size_t i;
    for (i = 0; i < AGAIN_PLACES; i++) {
        struct again *again = &db->again[(hash + i) % AGAIN_PLACES];
        if (again->sql != NULL && again->hash == hash && strcmp(again->sql, sql) == 0)
            return again;
        if (free_place == NULL && !again->prepared)
            free_place = again;
    }
    return free_place;
}

static void take_place(struct again *again, const char *sql, unsigned hash)
{
    free(again->sql);
    memset(again, 0, sizeof *again);
    again->hash = hash;
    again->sql = strdup(sql);
    if (again->sql == NULL)
        abort();
}

struct again *again_find(struct db *db, const struct db_statement *statement)
{
    unsigned hash;
    struct again *again;
    if (!db->relaxed || strnlen(statement->sql, LONGEST) == LONGEST || !is_planned(statement->sql))
        return NULL;
    hash = hash_text(statement->sql);
    again = find(db, statement->sql, hash);
    if (again == NULL)
        return NULL;
    if (again->sql == NULL || again->hash != hash || strcmp(again->sql, statement->sql) != 0)
        take_place(again, statement->sql, hash);
    return ++again->times > TIMES ? again : NULL;
}

void again_forget(struct db *db)
{
    size_t i;
    for (i = 0; i < AGAIN_PLACES; i++)
        db->again[i].prepared = false;
}

void again_free(struct db *db)
{
    size_t i;
    for (i = 0; i < AGAIN_PLACES; i++) {
        free(db->again[i].sql);
        db->again[i].sql = NULL;
    }
}

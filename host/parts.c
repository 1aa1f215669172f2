#include "host/parts.h"

#include <stdlib.h>
#include <string.h>

#include "host/answers.h"

enum {
    KEPT_ANSWERS = 1024 * 1024, /* bytes of a part's reads that are kept */
    SHOWN_TEXT = 200,           /* bytes of a statement that are kept to be shown, */
    HASH_SHOWN = 17             /* behind so many of its hash */
};

static char *copy_value(const PGresult *result, int row, int column)
{
    char *copy;
    if (PQgetisnull(result, row, column))
        return NULL;
    copy = strdup(PQgetvalue(result, row, column));
    if (copy == NULL)
        abort();
    return copy;
}

bool parts_is_loop(const char *statements)
{
    return statements != NULL && strlen(statements) > HASH_SHOWN &&
           strcmp(statements + HASH_SHOWN, PART_LOOP "\n") == 0;
}

void parts_loop_cursor(char cursor[32], int listed, int failures)
{
    snprintf(cursor, 32, "%d/%d", listed, failures);
}

static void read_loop(const PGresult *result, int row, struct part *part)
{
    const char *failures = part->cursor != NULL ? strchr(part->cursor, '/') : NULL;
    part->loop = true;
    part->tenants = atoi(PQgetvalue(result, row, 8));
    part->skipped = atoi(PQgetvalue(result, row, 9));
    part->listed = part->cursor != NULL ? atoi(part->cursor) : 0;
    part->failures = failures != NULL ? atoi(failures + 1) : 0;
}

bool parts_read(const PGresult *result, struct part_list *list)
{
    int row, rows = PQntuples(result);
    list->parts = calloc((size_t)rows + 1, sizeof *list->parts);
    if (list->parts == NULL)
        abort();
    for (row = 0; row < rows && strcmp(PQgetvalue(result, row, 3), "owed") != 0; row++) {
        struct part *part = &list->parts[row];
        part->what = copy_value(result, row, 0);
        part->direction = copy_value(result, row, 1);
        part->number = atoi(PQgetvalue(result, row, 2));
        part->done = strcmp(PQgetvalue(result, row, 3), "done") == 0;
        part->failed = strcmp(PQgetvalue(result, row, 3), "failed") == 0;
        part->hash = copy_value(result, row, 4);
        part->statements = copy_value(result, row, 5);
        part->answers = copy_value(result, row, 6);
        part->cursor = copy_value(result, row, 7);
        if (parts_is_loop(part->statements))
            read_loop(result, row, part);
    }
    list->count = (size_t)row;
    return row == rows;
}

void parts_free(struct part_list *list)
{
    size_t i;
    for (i = 0; i < list->count; i++) {
        free(list->parts[i].what);
        free(list->parts[i].direction);
        free(list->parts[i].hash);
        free(list->parts[i].statements);
        free(list->parts[i].answers);
        free(list->parts[i].cursor);
    }
    free(list->parts);
    memset(list, 0, sizeof *list);
}

static bool part_is_of(const struct part *part, const char *what, const char *direction)
{
    return strcmp(part->what, what) == 0 && strcmp(part->direction, direction) == 0;
}

const struct part *parts_find(const struct part_list *list, const char *what, const char *direction, int number)
{
    size_t i;
    for (i = 0; i < list->count; i++)
        if (list->parts[i].number == number && part_is_of(&list->parts[i], what, direction))
            return &list->parts[i];
    return NULL;
}

void recorder_open(struct recorder *recorder)
{
    memset(recorder, 0, sizeof *recorder);
    SHA256Init(&recorder->hash);
    recorder->statements_stream = open_memstream(&recorder->statements, &recorder->statements_size);
    recorder->answers_stream = open_memstream(&recorder->answers, &recorder->answers_size);
    if (recorder->statements_stream == NULL || recorder->answers_stream == NULL)
        abort();
}

void recorder_close(struct recorder *recorder)
{
    if (recorder->statements_stream == NULL)
        return;
    fclose(recorder->statements_stream);
    fclose(recorder->answers_stream);
    free(recorder->statements);
    free(recorder->answers);
    memset(recorder, 0, sizeof *recorder);
}

static void hash_text(SHA2_CTX *hash, const char *text)
{
    if (text == NULL)
        SHA256Update(hash, (const uint8_t *)"\1", 2);
    else
        SHA256Update(hash, (const uint8_t *)text, strlen(text) + 1);
}

/* One line: sixteen digits that tell statements apart, and the beginning of the text. */
static void put_line(FILE *out, const char hash[65], const char *sql)
{
    size_t i;
    fprintf(out, "%.16s ", hash);
    for (i = 0; sql[i] != '\0' && i < SHOWN_TEXT; i++)
        fputc(sql[i] == '\n' || sql[i] == '\t' ? ' ' : sql[i], out);
    for (; sql[i] != '\0' && ((unsigned char)sql[i] & 0xc0) == 0x80; i++) /* a character is not cut */
        fputc(sql[i], out);
    fputc('\n', out);
}

void recorder_statement(struct recorder *recorder, const struct db_statement *statement)
{
    SHA2_CTX one;
    char hash[65];
    int i;
    SHA256Init(&one);
    hash_text(&one, statement->sql);
    for (i = 0; i < statement->count; i++)
        hash_text(&one, statement->values[i]);
    SHA256End(&one, hash);
    SHA256Update(&recorder->hash, (const uint8_t *)hash, 64);
    put_line(recorder->statements_stream, hash, statement->sql);
    recorder->count++;
}

void recorder_answer(struct recorder *recorder, const PGresult *result)
{
    if (recorder->too_much)
        return;
    answer_write(recorder->answers_stream, result);
    fflush(recorder->answers_stream);
    recorder->too_much = recorder->answers_size > KEPT_ANSWERS;
}

void recorder_finish(struct recorder *recorder, char hash[65])
{
    SHA2_CTX copy = recorder->hash;
    SHA256End(&copy, hash);
    fflush(recorder->statements_stream);
    fflush(recorder->answers_stream);
}

static char *copy_line(const char *line)
{
    size_t size = strcspn(line, "\n");
    size_t skip = size > HASH_SHOWN ? HASH_SHOWN : size;
    char *copy = size == 0 ? strdup("(nothing)") : strndup(line + skip, size - skip);
    if (copy == NULL)
        abort();
    return copy;
}

void parts_difference(const char *before, const char *now, char **old_line, char **new_line)
{
    for (;;) {
        size_t size = strcspn(before, "\n");
        if (size != strcspn(now, "\n") || memcmp(before, now, size) != 0 || size == 0)
            break;
        before += size + (before[size] == '\n');
        now += size + (now[size] == '\n');
    }
    *old_line = copy_line(before);
    *new_line = copy_line(now);
}

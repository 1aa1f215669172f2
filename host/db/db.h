#ifndef DMLUA_DB_H
#define DMLUA_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"
#include "host/report.h"

struct config;

/* A connection and its statement stream. Statements are sent through libpq's pipeline mode and not waited for; answers
   are taken in the order of sending. The first failure stays with the stream until db_await hands it over. */
struct db;

/* Who wrote a statement. Null or 0: the host itself. The strings are copied. */
struct origin {
    const char *revision;
    const char *file;
    const char *tenant;
    const char *role; /* that it runs as; outlives the statement. Null: not told */
    int line;
    bool raw;   /* the author's own text */
    bool lines; /* a line feed in it is a line of the file */
};

/* A statement of the host's own. It is prepared once a connection, under its slot's name, unless it is `plain`. One
   whose job is to raise does so by a cast that fails (22P02): then `failure` is the message and the sentence that was
   cast the detail; with an empty `failure` the sentence is the message. */
struct db_host {
    int slot; /* 1 … DB_SLOTS - 1 */
    enum error_kind kind;
    const char *failure;
    const char *hint;
    const char *tag; /* the command tag that alone is success; null: any */
    bool plain;      /* it is sent as text: it works also when a script has made the server forget what was prepared */
};
enum { DB_SLOTS = 48 };

struct db_statement {
    const char *sql;
    const struct db_host *host; /* null: a script's */
    struct origin origin;
    int count;
    const char *const *values; /* text; null is SQL NULL */
};

/* Begins to connect, and returns before the server has answered; db_finish waits for it. Owned: db_close. Null on
   failure. */
struct db *db_start(const struct config *config, struct error *error);
int db_finish(struct db *db, const struct config *config, struct error *error);
/* Both: connects as the configuration says, starting the local server if it says `local:`. Owned: db_close. Null on
   failure. */
struct db *db_open(const struct config *config, struct error *error);
void db_close(struct db *db);
/* "user@host:port/database", for people. Borrowed. */
const char *db_shown(const struct db *db);
int db_server_version(const struct db *db);
PGconn *db_connection(struct db *db);
/* Every statement is logged before it is sent. */
void db_echo(struct db *db, bool on);

/* Puts one statement into the stream. Waits only while the socket takes no more, and then reads, too. */
void db_send(struct db *db, const struct db_statement *statement);
/* The same, and the result will be put into *into, owned by the caller, when it is taken; null until then. */
void db_send_wanted(struct db *db, const struct db_statement *statement, PGresult **into);
/* Ends an implicit or failed transaction state at the server: answers before it belong together. */
void db_sync(struct db *db);
/* A log line, printed when all that was sent before it has been answered. */
void db_log(struct db *db, enum report_level level, const char *logger, const char *text);
/* Calls `call` when all that was sent before it has been answered; not at all when something of it failed. It may not
   use the stream. */
void db_call(struct db *db, void (*call)(void *), void *data);
/* Hands what was sent to the socket, as far as it takes it, and takes the answers that are there; waits for nothing. */
void db_push(struct db *db);
/* Waits until everything sent has been answered. The first failure since the last await goes to `error`. */
int db_await(struct db *db, struct error *error);
/* Sends, and waits for this statement's answer and all before it; inside a transaction block. Owned: PQclear. Null on
   failure. */
PGresult *db_query(struct db *db, const struct db_statement *statement, struct error *error);
/* The same outside a transaction block: a transaction of its own, which is over when this returns. */
PGresult *db_query_alone(struct db *db, const struct db_statement *statement, struct error *error);
/* COPY … FROM STDIN with its rows, inside a transaction block. Waits for all that was sent before, and for the
   answer. */
int db_copy(struct db *db, const struct db_statement *statement, const char *data, size_t size, struct error *error);
/* Told of a script's statement that is done: the rows that it has written, or -1 where it is none that writes. */
typedef void db_counter(void *data, const struct origin *origin, long long rows);
/* What is sent between a scope's beginning and its end fails the scope and not the stream: the owner looks when nothing
   of it is pending any more. Begins zeroed; whoever owns it outlives its pending entries, and clears `failure`. */
struct db_scope {
    struct error failure; /* the first */
    int slot;             /* of the host's statement that failed; DB_SLOTS: a script's, prepared; 0: another one */
    size_t pending;       /* entries that are not answered yet */
    long long rows;       /* that scripts' statements have written */
    db_counter *counter;  /* told of them; may be null */
    void *counts;         /* its data */
};
/* From here on what is sent is the scope's; null: the stream's own. db_await, db_failed and what waits tell of a
   failure of the scope then, too, and leave it there. */
void db_scope(struct db *db, struct db_scope *scope);
/* Prepares a statement of the host's own unless it is; says whether something was sent. */
bool db_prepare(struct db *db, const struct db_statement *statement);

/* For who waits for several connections at once (host/loop/flight): such a connection never waits by itself while the
   socket takes no more; who has sent looks whether it is crowded, and pushes, or makes room by waiting. */
void db_relax(struct db *db, bool on);
bool db_crowded(const struct db *db);
void db_make_room(struct db *db);
/* Asks for the answers of all that was sent. */
void db_ask(struct db *db);
/* Is everything that was sent answered? */
bool db_idle(const struct db *db);
/* Bytes that wait for answers. */
size_t db_held(const struct db *db);
/* To be called before polling, and no poll is due when it says that something was answered: libpq reads by itself
   while the socket takes no more, and what it then has the socket has not; and what of a question is still here would
   be waited for by the server, while its answer is waited for here. */
bool db_stir(struct db *db);
/* What to poll for. */
struct pollfd db_poll(const struct db *db);
/* Sends an interrupt (Ctrl-C) on to the server, which ends the statement that it carries out. */
void db_interrupt(struct db *db);

/* `counter` is told of scripts' statements outside of scopes; null: nobody is. */
void db_count(struct db *db, db_counter *counter, void *counts);
/* How many rows the scripts' statements have written since the connection began, by their command tags. */
long long db_rows(const struct db *db);
/* Has a statement failed that db_await has not yet handed over? */
bool db_failed(const struct db *db);
/* May the connection still be used? */
bool db_alive(const struct db *db);
/* Forgets what was prepared: a script has said DEALLOCATE. */
void db_forget_prepared(struct db *db);
/* How often that was. */
int db_generation(const struct db *db);

/* Might the same statements succeed when they are sent once more? */
bool db_is_passing(const struct error *error);
/* Fills `error` from a failed result. */
void db_read_error(const PGresult *result, const struct db_statement *statement, struct error *error);

#endif

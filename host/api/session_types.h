#ifndef DMLUA_API_SESSION_TYPES_H
#define DMLUA_API_SESSION_TYPES_H

#include <lua.h>

#include "host/graph.h"
#include "host/ledger.h"
#include "host/run.h"

/* A connection for a verb. Its user value 1 keeps the config alive. */
struct session {
    struct db *db;
    struct ledger ledger;
    const struct config *config;
    bool ready; /* the server has answered */
};

/* The session at argument 1, connected: the first use waits for the server. Raises when there is none, or when the role
   cannot work there. */
struct session *session_check(lua_State *L);

/* What a call holds that the collector must free if something raises. */
struct work {
    struct standing at;
    struct run run;
    struct graph_plan plan;
    struct changed *changed;
    PGresult *result;
    char *text;
    bool has_run;
};
/* [-0, +1] */
struct work *work_push(lua_State *L);

/* [-0, +1] What the options' table at `index` asks of a run; keeps the reason's text on the stack. */
struct run_options session_options(lua_State *L, int index);
/* Is the table's field true? */
bool session_flag(lua_State *L, int index, const char *name);

/* session_fix.c */
int session_fix_tenants(lua_State *L);
int session_fix_state(lua_State *L);
int session_fix_run(lua_State *L);

/* session_undo.c */
int session_read(lua_State *L);
int session_has_tables(lua_State *L);
int session_undo_run(lua_State *L);
int session_undo_forget(lua_State *L);

/* session_debts.c */
/* [-0, +1] A list of {revision, direction, part, tenant, reason, who, since}, of rows of enum debt_field or null. */
void session_push_debts(lua_State *L, const PGresult *debts);
int session_pay(lua_State *L);

/* session_reads.c */
int session_log(lua_State *L);
int session_tallies(lua_State *L);
int session_dump(lua_State *L);
/* session_tables.c */
int session_tables(lua_State *L);
int session_declare_tables(lua_State *L);

#endif

#ifndef DMLUA_RUNNER_H
#define DMLUA_RUNNER_H

#include <lua.h>

#include "host/graph.h"
#include "host/run.h"
#include "host/script.h"

/* Told after each step: with it the caller prints an event. May raise no error. */
typedef void runner_event(void *data, const struct graph_step *step, double seconds);

/* Carries out upgrade, downgrade or stamp (enum graph_command, flags or-ed) to the targets: lock, plan, steps, records.
   Fills `plan` also on failure; graph_plan_free frees it. Returns how many steps were carried out, or -1. */
int runner_run(lua_State *L, struct run *run, const struct tree *tree, unsigned command, const char *const *targets,
               size_t target_count, struct graph_plan *plan, runner_event *event, void *data, struct error *error);

#endif

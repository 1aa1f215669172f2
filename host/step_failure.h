#ifndef DMLUA_STEP_FAILURE_H
#define DMLUA_STEP_FAILURE_H

#include "host/step.h"

/* What becomes of a run when a step has failed. For host/step.c. */

/* A failure that the script met comes before whatever it made of it, an error of its own or nothing: moves it into
   `error`. False when it met none. */
bool step_take_failure(struct step *step, struct error *error);
/* Rolls back, takes the void steps' rows back, and records the failure. `step` is the one whose script ran; null: all
   were sent, and one of them has failed. `error` then names the step that failed and says where the database stands. */
void step_fail(struct run *run, struct step *step, struct error *error);

#endif

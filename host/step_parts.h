#ifndef DMLUA_STEP_PARTS_H
#define DMLUA_STEP_PARTS_H

#include "host/step.h"

/* A step's parts: how one is opened, closed with its row in dmlua_progress, found again by a rerun. For host/step.c and
   host/step_batches.c. */

/* An origin that names the step's revision alone. */
struct origin step_origin(const struct step *step);
/* Sends the check that raises unless the session is as it was at BEGIN. */
void step_send_state_check(struct step *step);
/* Sends the part's row of dmlua_progress: its state, and what its recorder has. */
void step_send_progress(struct step *step, const char *state);
/* Sends the part's row of the ledger. */
void step_record_part(struct step *step);
/* Commits the open part, if there is one, with its progress row; a part of an earlier run is only compared. */
int step_close_part(struct step *step, struct error *error);
/* Carries out a statement that refuses a transaction block, as a part of its own. */
int step_run_alone(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
                   struct error *error);
/* Are the part's statements what they were in the earlier run? */
bool step_is_unchanged(struct step *step);
/* The part was finished by an earlier run: its statements must be what they were. */
int step_check_kept(struct step *step, struct error *error);
/* --only-tenant has come to what is no part of the step's loops, nor before them: it is done, and not run again. */
int step_refuse_behind(const struct step *step, struct error *error);
/* Forgets the open part. */
void step_leave_part(struct step *step);

#endif

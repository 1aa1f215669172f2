#ifndef DMLUA_LOOP_SETTINGS_H
#define DMLUA_LOOP_SETTINGS_H

#include <stdbool.h>

#include "host/db/db.h"

/* What scripts set for the session, beyond their transaction. */

/* A statement of a step that has done so, to be sent again where its session is made anew. */
struct step_setting {
    struct step_setting *next;
    char *sql;
    int count;
    const char **values;
};

/* SET or RESET, and not for the transaction alone. */
bool setting_is(const char *sql);
/* Calls `each` with the name of every setting that the statement's text says to change, for however long: by SET or
   RESET, or by set_config with a constant or a parameter. What functions, triggers and DO blocks do is not seen; nor is
   RESET ALL, which names none. */
void setting_names(const struct db_statement *statement, void (*each)(void *, const char *name), void *data);
/* Might the statement leave a setting behind? Says no of plain reads and writes that call nothing but well-known
   functions. What a trigger or an operator's function sets for the session is not seen. */
bool setting_is_possible(const char *sql);
/* Adds the statement to the list, if it is one of SET, RESET or SELECT set_config(…). */
void setting_keep(struct step_setting **list, const struct db_statement *statement);
void settings_free(struct step_setting *list);

#endif

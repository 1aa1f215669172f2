#ifndef DMLUA_LEDGER_STATEMENTS_H
#define DMLUA_LEDGER_STATEMENTS_H

#include "host/ledger.h"

/* A statement of the host's own as it is written: `{v}`, `{s}`, `{t}` and `{p}` stand for names (host/ledger.c). */
struct ledger_text {
    struct db_host host;
    const char *text;
};

extern const struct ledger_text ledger_texts[LEDGER_COUNT];

#endif

#ifndef DMLUA_CONFIG_KEYS_H
#define DMLUA_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/config.h"

enum key_type {
    KEY_TEXT,
    KEY_BOOLEAN,
    KEY_NUMBER, /* 0 or more */
    KEY_CHOICE, /* one of `choices` */
    KEY_LIST,   /* names, divided by commas or white space */
    KEY_URL     /* may hold a password */
};

enum key_place {
    KEY_ANYWHERE, /* in the main section, an environment's, a service's, or a service's in an environment */
    KEY_MAIN,     /* in [dmlua] or [alembic] only: it says which other sections count */
    KEY_HOOKS,    /* in [post_write_hooks]; its name here has that prefix */
    KEY_PYTHON    /* in an alembic.ini, where only Python reads it */
};

/* A key that dmlua knows. */
struct key {
    const char *name;
    const char *alias; /* another name, or null */
    enum key_type type;
    enum key_place place;
    const char *initial; /* default, or null */
    const char *const *choices;
    bool commented;      /* Alembic's own template writes " # …" behind the value, which is no part of it */
    bool services;       /* its value names services of the file */
    bool own;            /* nothing but dmlua has a key of that name */
    const char *unbuilt; /* what it asks for and this version does not do, or null */
    const char *unbuilt_value; /* the value that asks for it; null: any but the default */
    enum config_area area;     /* the verbs that would have to do it */
};

extern const struct key keys[];
extern const size_t key_count;

/* The key of that name or alias; null: unknown. */
const struct key *key_find(const char *name);
/* Whether only dmlua has a key of that name, so that its section was meant for dmlua. */
bool key_is_own(const char *name);
/* Whether `name` is an option that SQLAlchemy's create_engine knows: sqlalchemy.pool_recycle. */
bool key_of_sqlalchemy(const char *name);
/* The known name or alias nearest to a misspelt one; null when none is near. */
const char *key_nearest(const char *name);

/* Null when the value is of the key's type; else what was expected. Owned by the caller. */
char *key_expected(const struct key *key, const char *value);
/* Whether a value asks for what the key's `unbuilt` names: it is not what dmlua does anyhow. */
bool key_asks(const struct key *key, const char *value);

/* Python's booleans (configparser): 1 for true, 0 for false, -1 for neither. */
int boolean_value(const char *text);

#endif

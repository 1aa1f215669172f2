#ifndef DMLUA_SERVER_PLACE_H
#define DMLUA_SERVER_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "host/error.h"

/* The operating system's user whose the server and its data are. PostgreSQL refuses to run as root. */
struct place_user {
    char *name;
    uid_t uid;
    gid_t gid;
    bool other; /* not this process's user: a child becomes it before it runs anything */
};

/* Where the server of one folder lives. All strings are owned, all paths absolute and canonical. */
struct place {
    char *folder;  /* of the configuration file */
    char *root;    /* folder/.dmlua, or /var/lib/dmlua/HASH */
    char *data;
    char *unready; /* the data folder while initdb fills it; renamed to `data` when it is whole */
    char *lock;
    char *log;
    char *log_before; /* of the run before */
    char *known;   /* which databases and roles were found complete */
    char *sockets; /* short, because a socket's path has 107 bytes at most (sockaddr_un) */
    char *name;    /* "dmlua-HASH", of the cluster in process titles */
    struct place_user user;
};

/* Finds out where; makes nothing. */
int place_find(const char *folder, struct place *place, struct error *error);
void place_free(struct place *place);

/* Makes `root` where it is missing, and checks it. */
int place_make(const struct place *place, struct error *error);
/* Is `root`, which is there, a folder of this process's user? */
int place_check(const struct place *place, struct error *error);
/* Makes the sockets' folder where it is missing: the server's user alone may enter it, which is what keeps other users
   from connecting. */
int place_make_sockets(const struct place *place, struct error *error);
/* Is there a sockets' folder, and is it private? */
bool place_sockets_private(const struct place *place);

/* Adds to the hint of `error` that the disk is full, where it is. */
void place_explain_disk(const struct place *place, struct error *error);

/* Becomes the server's user for good; for a child before exec. Returns -1 with errno. */
int place_become_user(const struct place_user *user);

/* A path as one word for the shell, for the commands that hints name. Owned. */
char *place_quote(const char *path);

/* The last lines of a text file, owned; empty when there is none. */
char *place_file_tail(const char *path);

#endif

#ifndef DMLUA_SERVER_H
#define DMLUA_SERVER_H

#include <stdbool.h>

#include "host/config.h"
#include "host/error.h"

/* The private PostgreSQL behind `url = local:`: one for each folder that holds a configuration file. */

/* How to connect to one of its databases. All strings are owned. */
struct server_address {
    char *host;     /* the folder of its Unix socket */
    char *port;
    char *user;     /* the migrator: a plain role, owner of the databases that dmlua makes */
    char *database;
};

/* Finds the server running, or makes and starts it, and makes the migrator, the roles named by app_role and
   tenant_role, and the database where they are missing. A null `database` means the one that the configuration names:
   NAME of local:NAME, else the service, else "dmlua". Where nothing is missing this reads a few small files and opens
   no connection. Errors: usage for what the configuration says, connection for a server that cannot be made or started,
   busy, interrupted. */
int server_ensure(const struct config *config, const char *database, struct server_address *address,
                  struct error *error);
/* The same, but asks the server itself what is missing, even where it was found complete before. For the answer to a
   connection that failed after server_ensure: somebody may have dropped a role or renamed the database since. */
int server_prepare(const struct config *config, const char *database, struct server_address *address,
                   struct error *error);
void server_address_free(struct server_address *address);

/* Takes the PG* variables out of the process's environment and returns it as it was, for server_environment_leave. What
   connects to the local server stands between the two, because libpq can be kept from PGSERVICE, PGHOSTADDR or
   PGOPTIONS in no other way. Null when there is no memory: nothing was changed. */
char **server_environment_enter(void);
void server_environment_leave(char **saved);

struct server_status {
    bool made;             /* there is a data folder */
    bool running;
    long pid;              /* of the postmaster, when running */
    char *folder;          /* .dmlua, or the one under /var/lib/dmlua */
    char *data;
    char *log;
    char *host;            /* the folder of the socket */
    char *port;
    char *user;            /* the operating system's user that it runs as */
    char *version;         /* of the server when running, else the data folder's major version; null when not made */
    char **databases;      /* null-ended, sorted; null when not running */
};

/* Says how it stands; makes and starts nothing. */
int server_status(const struct config *config, struct server_status *status, struct error *error);
void server_status_free(struct server_status *status);

/* Stops it, ending its connections, and waits for its end. `stopped` says whether there was one to stop. */
int server_stop(const struct config *config, bool *stopped, struct error *error);

/* Becomes psql on the service's database, as `role` or, when that is null, as the migrator. `arguments` is null-ended.
   Returns only on failure. */
int server_psql(const struct config *config, const char *role, const char *const *arguments, struct error *error);

#endif

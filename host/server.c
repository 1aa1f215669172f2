#include "host/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/server/data.h"
#include "host/server/lock.h"
#include "host/server/place.h"
#include "host/server/postmaster.h"
#include "host/server/prepare.h"

static struct prepare wanted_by(const struct config *config, const char *database)
{
    struct prepare wanted = {database, config_get(config, "app_role"), config_get(config, "tenant_role")};
    if (database == NULL && !config_is_local(config, &wanted.database))
        wanted.database = NULL;
    return wanted;
}

static int require_local(const struct prepare *wanted, struct error *error)
{
    if (wanted->database != NULL)
        return 0;
    error_set(error, ERROR_USAGE, "the URL in effect is not local:, so the local server is not what dmlua would use");
    error_text(&error->hint, "write url = local: in the configuration file, and see with dmlua config where the URL "
               "comes from");
    return -1;
}

static void fill_address(const struct place *place, const char *database, struct server_address *address)
{
    memset(address, 0, sizeof *address);
    error_text(&address->host, "%s", place->sockets);
    error_text(&address->port, "%s", POSTMASTER_PORT);
    error_text(&address->user, "%s", PREPARE_MIGRATOR);
    error_text(&address->database, "%s", database);
}

void server_address_free(struct server_address *address)
{
    free(address->host);
    free(address->port);
    free(address->user);
    free(address->database);
    memset(address, 0, sizeof *address);
}

/* Can it be reached where it is looked for? Not so when its folder was moved while it ran, or /tmp was swept. */
static bool reachable(const struct place *place, const struct postmaster *found)
{
    char *socket = NULL;
    bool there;
    error_text(&socket, "%s/.s.PGSQL." POSTMASTER_PORT, place->sockets);
    there = found->state == POSTMASTER_READY && found->here && place_sockets_private(place)
            && access(socket, F_OK) == 0;
    free(socket);
    return there;
}

/* Under the lock: found running, or made and started. */
static int run(const struct place *place, struct error *error)
{
    struct postmaster found;
    char *programs = NULL;
    int status = -1;
    postmaster_look(place, &found);
    if (found.state == POSTMASTER_STARTING && postmaster_await(place, &found, error) != 0)
        return -1;
    if (reachable(place, &found))
        return 0;
    if (found.state != POSTMASTER_NONE && postmaster_stop(place, &found, error) != 0)
        return -1;
    if (postmaster_end_orphan(place, error) == 0 && data_make(place, &programs, error) == 0)
        status = postmaster_start(place, programs, error);
    free(programs);
    return status;
}

/* The way out of an error that PostgreSQL worded: what its log says, or room on the disk. */
static void explain(const struct place *place, struct error *error)
{
    if (error->kind != ERROR_CONNECTION || error->hint != NULL)
        return;
    error_text(&error->hint, "the local server's log may say more: %s", place->log);
    place_explain_disk(place, error);
}

static int run_and_prepare(const struct place *place, const struct prepare *wanted, struct error *error)
{
    int lock, status = -1;
    if (place_make(place, error) != 0)
        return -1;
    lock = lock_take(place, error);
    if (lock >= 0) {
        status = run(place, error);
        if (status == 0)
            status = prepare_make(place, wanted, error);
        lock_drop(lock);
    }
    if (status != 0)
        explain(place, error);
    return status;
}

static int ensure(const struct config *config, const char *database, bool trusting, struct server_address *address,
                  struct error *error)
{
    struct prepare wanted = wanted_by(config, database);
    struct place place = {0};
    struct postmaster found;
    int status;
    memset(address, 0, sizeof *address);
    if (require_local(&wanted, error) != 0)
        return -1;
    status = place_find(config_folder(config), &place, error);
    if (status == 0) {
        postmaster_look(&place, &found);
        if (!trusting || !reachable(&place, &found) || !prepare_known(&place, &wanted))
            status = run_and_prepare(&place, &wanted, error);
    }
    if (status == 0)
        fill_address(&place, wanted.database, address);
    place_free(&place);
    return status;
}

int server_ensure(const struct config *config, const char *database, struct server_address *address,
                  struct error *error)
{
    return ensure(config, database, true, address, error);
}

int server_prepare(const struct config *config, const char *database, struct server_address *address,
                   struct error *error)
{
    return ensure(config, database, false, address, error);
}

void server_status_free(struct server_status *status)
{
    size_t i;
    for (i = 0; status->databases != NULL && status->databases[i] != NULL; i++)
        free(status->databases[i]);
    free(status->databases);
    free(status->folder);
    free(status->data);
    free(status->log);
    free(status->host);
    free(status->port);
    free(status->user);
    free(status->version);
    memset(status, 0, sizeof *status);
}

static void fill_status(const struct place *place, const struct postmaster *found, struct server_status *status)
{
    int major = data_major(place);
    status->made = access(place->data, F_OK) == 0;
    status->running = found->state != POSTMASTER_NONE;
    status->pid = status->running ? (long)found->pid : 0;
    error_text(&status->folder, "%s", place->root);
    error_text(&status->data, "%s", place->data);
    error_text(&status->log, "%s", place->log);
    error_text(&status->host, "%s", place->sockets);
    error_text(&status->port, "%s", POSTMASTER_PORT);
    error_text(&status->user, "%s", place->user.name);
    if (major > 0)
        error_text(&status->version, "%d", major);
}

int server_status(const struct config *config, struct server_status *status, struct error *error)
{
    struct place place = {0};
    struct postmaster found;
    int result;
    memset(status, 0, sizeof *status);
    result = place_find(config_folder(config), &place, error);
    if (result == 0 && access(place.root, F_OK) == 0)
        result = place_check(&place, error);
    if (result == 0) {
        postmaster_look(&place, &found);
        fill_status(&place, &found, status);
        if (reachable(&place, &found))
            result = prepare_list(&place, &status->version, &status->databases, error);
    }
    place_free(&place);
    return result;
}

/* Nothing is made for it: a folder without a lock file has no server either. */
static int stop(const struct place *place, bool *stopped, struct error *error)
{
    struct postmaster found;
    int lock, status = 0;
    if (access(place->root, F_OK) != 0)
        return 0;
    if (place_check(place, error) != 0)
        return -1;
    lock = lock_take(place, error);
    if (lock < 0)
        return -1;
    postmaster_look(place, &found);
    *stopped = found.state != POSTMASTER_NONE;
    if (*stopped)
        status = postmaster_stop(place, &found, error);
    if (status == 0)
        rmdir(place->sockets); /* it stays if somebody put something there */
    lock_drop(lock);
    return status;
}

int server_stop(const struct config *config, bool *stopped, struct error *error)
{
    struct place place = {0};
    int status;
    *stopped = false;
    status = place_find(config_folder(config), &place, error);
    if (status == 0)
        status = stop(&place, stopped, error);
    place_free(&place);
    return status;
}

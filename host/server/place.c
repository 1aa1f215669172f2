#include "host/server/place.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_FOLDER "/var/lib/dmlua"
#define ROOT_RUNS_AS "postgres" /* the user that Debian's postgresql-common makes */

enum { TAIL_BYTES = 2000, FULL_DISK_MB = 32 };

static int user_find(struct place_user *user, struct error *error)
{
    struct passwd *entry;
    user->other = geteuid() == 0;
    entry = user->other ? getpwnam(ROOT_RUNS_AS) : getpwuid(geteuid());
    if (entry == NULL && user->other) {
        error_set(error, ERROR_CONNECTION, "there is no user " ROOT_RUNS_AS
                  ", as whom the local server runs when root starts it");
        error_text(&error->hint, "install Debian's package postgresql (apt-get install postgresql), which makes it, "
                   "or run dmlua as an ordinary user");
        return -1;
    }
    if (entry == NULL) {
        error_set(error, ERROR_CONNECTION, "user id %ld has no name: PostgreSQL cannot run as it", (long)geteuid());
        error_text(&error->hint, "add the user to /etc/passwd, or give url = the address of a running server");
        return -1;
    }
    error_text(&user->name, "%s", entry->pw_name);
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    return 0;
}

int place_become_user(const struct place_user *user)
{
    if (!user->other)
        return 0;
    if (initgroups(user->name, user->gid) != 0 || setgid(user->gid) != 0)
        return -1;
    return setuid(user->uid);
}

/* May the server's user enter the folder? Asked of the kernel, by a child that has become that user: modes of all the
   folders above, ACLs and mounts are its to judge. */
static bool user_may_enter(const struct place_user *user, const char *folder)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(place_become_user(user) == 0 && access(folder, X_OK) == 0 ? 0 : 1);
    if (child < 0)
        return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* FNV-1a of user and folder: names what has to be found again, so it is stable; it guards nothing. */
static uint64_t place_hash(const char *folder, uid_t uid)
{
    char text[32 + PATH_MAX];
    uint64_t hash = 0xcbf29ce484222325u;
    const char *c;
    snprintf(text, sizeof text, "%ld:%s", (long)uid, folder);
    for (c = text; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

static bool has_data(const char *root)
{
    char *path = NULL;
    struct stat info;
    bool found;
    error_text(&path, "%s/data", root);
    found = lstat(path, &info) == 0;
    free(path);
    return found;
}

/* Beside the configuration file; under /var/lib only where the server's user cannot reach it there. Data that is there
   already decides, so that the answer does not change with a folder's mode. */
static void choose_root(struct place *place, uint64_t hash)
{
    char *beside = NULL, *apart = NULL;
    error_text(&beside, "%s%s.dmlua", place->folder, strcmp(place->folder, "/") == 0 ? "" : "/");
    error_text(&apart, STATE_FOLDER "/%016llx", (unsigned long long)hash);
    if (!place->user.other || has_data(beside)
        || (!has_data(apart) && user_may_enter(&place->user, place->folder))) {
        place->root = beside;
        free(apart);
    } else {
        place->root = apart;
        free(beside);
    }
}

int place_find(const char *folder, struct place *place, struct error *error)
{
    uint64_t hash;
    memset(place, 0, sizeof *place);
    if (user_find(&place->user, error) != 0)
        return -1;
    place->folder = realpath(folder, NULL);
    if (place->folder == NULL || strchr(place->folder, '\n') != NULL) {
        error_set(error, ERROR_USAGE, "no local server can be kept for the folder %s: %s", folder,
                  place->folder == NULL ? strerror(errno) : "there is a line feed in its path");
        return -1;
    }
    hash = place_hash(place->folder, place->user.uid);
    choose_root(place, hash);
    error_text(&place->data, "%s/data", place->root);
    error_text(&place->unready, "%s/data.unready", place->root);
    error_text(&place->lock, "%s/server.lock", place->root);
    error_text(&place->log, "%s/server.log", place->root);
    error_text(&place->log_before, "%s/server.log.1", place->root);
    error_text(&place->known, "%s/server.known", place->root);
    error_text(&place->name, "dmlua-%016llx", (unsigned long long)hash);
    error_text(&place->sockets, "/tmp/%s", place->name);
    return 0;
}

void place_free(struct place *place)
{
    free(place->folder);
    free(place->root);
    free(place->data);
    free(place->unready);
    free(place->lock);
    free(place->log);
    free(place->log_before);
    free(place->known);
    free(place->sockets);
    free(place->name);
    free(place->user.name);
    memset(place, 0, sizeof *place);
}

/* Keeps the folder out of the project's version control, and says whose it is where the path does not. */
static void write_notes(const struct place *place)
{
    char *path = NULL;
    FILE *file;
    error_text(&path, "%s/.gitignore", place->root);
    file = fopen(path, "we");
    if (file != NULL) {
        fprintf(file, "# dmlua's local server for %s\n*\n", place->folder);
        fclose(file);
    }
    free(path);
}

static int cannot_make(const struct place *place, const char *path, int number, struct error *error)
{
    error_set(error, ERROR_CONNECTION, "cannot make the local server's folder %s: %s", path, strerror(number));
    error_text(&error->hint, "let %s write in %s, or give url = the address of a running server in place of local:",
               place->user.other ? "root" : place->user.name, place->folder);
    place_explain_disk(place, error);
    return -1;
}

int place_check(const struct place *place, struct error *error)
{
    struct stat info;
    struct passwd *owner;
    char *root;
    if (stat(place->root, &info) != 0 || !S_ISDIR(info.st_mode))
        return cannot_make(place, place->root, ENOTDIR, error);
    if (info.st_uid == geteuid())
        return 0;
    owner = getpwuid(info.st_uid);
    error_set(error, ERROR_CONNECTION, "the local server's folder %s belongs to user %s, not to %s", place->root,
              owner != NULL ? owner->pw_name : "another", place->user.other ? "root" : place->user.name);
    root = place_quote(place->root);
    error_text(&error->hint, "run dmlua as that user, or stop the server as that user (dmlua server stop) and remove "
               "the folder: rm -r %s", root);
    free(root);
    return -1;
}

int place_make(const struct place *place, struct error *error)
{
    if (strncmp(place->root, STATE_FOLDER "/", sizeof STATE_FOLDER) == 0 && mkdir(STATE_FOLDER, 0755) != 0
        && errno != EEXIST)
        return cannot_make(place, STATE_FOLDER, errno, error);
    if (mkdir(place->root, 0700) == 0) {
        if (place->user.other && chmod(place->root, 0711) != 0) /* the server's user has to pass through */
            return cannot_make(place, place->root, errno, error);
        write_notes(place);
    } else if (errno != EEXIST) {
        return cannot_make(place, place->root, errno, error);
    }
    return place_check(place, error);
}

bool place_sockets_private(const struct place *place)
{
    struct stat info;
    return lstat(place->sockets, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == place->user.uid
           && (info.st_mode & 077) == 0;
}

int place_make_sockets(const struct place *place, struct error *error)
{
    if (mkdir(place->sockets, 0700) == 0) {
        if (place->user.other && lchown(place->sockets, place->user.uid, place->user.gid) != 0)
            return cannot_make(place, place->sockets, errno, error);
    } else if (errno != EEXIST) {
        return cannot_make(place, place->sockets, errno, error);
    }
    if (place_sockets_private(place))
        return 0;
    error_set(error, ERROR_CONNECTION, "%s is not a folder that user %s alone may enter: the local server's socket "
              "would not be safe there", place->sockets, place->user.name);
    error_text(&error->hint, "see who made it (ls -ld %s), and remove it", place->sockets);
    return -1;
}

void place_explain_disk(const struct place *place, struct error *error)
{
    struct statvfs disk;
    unsigned long long megabytes;
    const char *path = access(place->root, F_OK) == 0 ? place->root : place->folder;
    if (statvfs(path, &disk) != 0)
        return;
    megabytes = (unsigned long long)disk.f_bavail * disk.f_frsize >> 20;
    if (megabytes < FULL_DISK_MB)
        error_text(&error->hint, "the disk that holds %s has %llu MB left and a new server needs about 60: make room "
                   "and run this again", path, megabytes);
}

char *place_quote(const char *path)
{
    char *quoted = malloc(4 * strlen(path) + 3), *end = quoted;
    if (quoted == NULL)
        abort();
    *end++ = '\'';
    for (; *path != '\0'; path++) {
        if (*path == '\'')
            end = stpcpy(end, "'\\'");
        *end++ = *path;
    }
    strcpy(end, "'");
    return quoted;
}

char *place_file_tail(const char *path)
{
    char text[TAIL_BYTES + 1], *tail = NULL, *start = text;
    ssize_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END);
        if (end > TAIL_BYTES && lseek(fd, end - TAIL_BYTES, SEEK_SET) >= 0) {
            size = read(fd, text, TAIL_BYTES);
            start = memchr(text, '\n', size > 1 ? (size_t)size - 1 : 0); /* not in the middle of a line */
            start = start != NULL ? start + 1 : text;
        } else if (lseek(fd, 0, SEEK_SET) == 0) {
            size = read(fd, text, TAIL_BYTES);
        }
        close(fd);
    }
    if (size < 0)
        size = 0;
    text[size] = '\0';
    while (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    error_text(&tail, "%s", start);
    return tail;
}

#include "host/server/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/server/wait.h"
#include "host/signal.h"

enum { OUTPUT_BYTES = 4096, ARGUMENTS_BYTES = 16384 };

static void close_others(void)
{
    long fd, limit;
    if (close_range(3, ~0U, 0) == 0)
        return;
    limit = sysconf(_SC_OPEN_MAX); /* a kernel before 5.9 */
    for (fd = 3; fd < (limit > 0 ? limit : 1024); fd++)
        close((int)fd);
}

/* In the child: everything between fork and exec. Never returns. */
static void become(const struct place_user *user, const char *const *argv, int output, bool dies_with_us)
{
    static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8";
    char *environment[] = {path, locale, NULL};
    int input = open("/dev/null", O_RDONLY);
    setsid();
    signal_default();
    umask(077);
    if (input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(127);
    close_others();
    if (place_become_user(user) != 0 || chdir("/") != 0) {
        dprintf(2, "cannot become user %s: %s\n", user->name, strerror(errno));
        _exit(127);
    }
    if (dies_with_us)
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which would clear it */
    execve(argv[0], (char *const *)argv, environment);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static pid_t start(const struct place_user *user, const char *const *argv, int output, bool dies_with_us,
                   struct error *error)
{
    pid_t pid = fork();
    if (pid == 0)
        become(user, argv, output, dies_with_us);
    if (pid < 0)
        error_set(error, ERROR_CONNECTION, "cannot start %s: %s", argv[0], strerror(errno));
    return pid;
}

pid_t process_start(const struct place_user *user, const char *const *argv, int output, struct error *error)
{
    return start(user, argv, output, false, error);
}

bool process_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

/* Appends what can be read, dropping the oldest half of a full buffer. Returns false at the end of the output. */
static bool read_output(int fd, char *text, size_t *size)
{
    ssize_t count;
    if (*size == OUTPUT_BYTES) {
        *size = OUTPUT_BYTES / 2;
        memmove(text, text + *size, *size);
    }
    count = read(fd, text + *size, OUTPUT_BYTES - *size);
    if (count > 0)
        *size += (size_t)count;
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Reads until the program has ended and closed its output. Returns its wait status, or -1 when the wait ended first. */
static int follow(pid_t pid, int fd, const struct wait *wait, char *text, size_t *size)
{
    int status;
    while (wait_descriptor(wait, fd, false) == WAIT_MORE)
        if (!read_output(fd, text, size)) {
            while (waitpid(pid, &status, WNOHANG) == 0)
                if (wait_pause(wait) != WAIT_MORE)
                    return -1;
            return status;
        }
    return -1;
}

static int end_early(pid_t pid, const char *program, enum wait_result result, struct error *error)
{
    kill(-pid, SIGKILL); /* its session is its process group */
    kill(pid, SIGKILL);  /* should it not have come to setsid yet */
    waitpid(pid, NULL, 0);
    if (result == WAIT_INTERRUPTED)
        error_set(error, ERROR_INTERRUPTED, "interrupted while %s ran", program);
    else
        error_set(error, ERROR_CONNECTION, "%s did not end in time and was killed", program);
    return -1;
}

int process_run(const struct place_user *user, const char *const *argv, int limit_ms, char **output,
                struct error *error)
{
    char text[OUTPUT_BYTES + 1];
    struct wait wait;
    size_t size = 0;
    int ends[2], status;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(error, ERROR_CONNECTION, "cannot start %s: %s", argv[0], strerror(errno));
        return -1;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    wait_begin(&wait, limit_ms);
    pid = start(user, argv, ends[1], true, error);
    close(ends[1]);
    status = pid > 0 ? follow(pid, ends[0], &wait, text, &size) : -1;
    close(ends[0]);
    while (size > 0 && text[size - 1] == '\n')
        size--;
    text[size] = '\0';
    error_text(output, "%s", text);
    if (pid < 0)
        return -1;
    if (status == -1)
        return end_early(pid, argv[0], wait_state(&wait), error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

char *process_arguments(pid_t pid, size_t *size)
{
    char path[64], *text;
    ssize_t count;
    int fd;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    text = malloc(ARGUMENTS_BYTES + 1);
    count = text != NULL ? read(fd, text, ARGUMENTS_BYTES) : -1;
    close(fd);
    if (count <= 0) {
        free(text);
        return NULL;
    }
    text[count] = '\0';
    *size = (size_t)count;
    return text;
}

#include "host/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/signal.h"

static const int ours[] = {SIGINT, SIGQUIT};
enum { OURS = sizeof ours / sizeof *ours };

/* In the child. Never returns: what goes wrong is told through the pipe, as an errno; of the folder, below zero. */
static void become(const char *const *argv, const char *folder, enum program_kind kind, int failure)
{
    int input = kind == PROGRAM_HOOK ? open("/dev/null", O_RDONLY | O_CLOEXEC) : STDIN_FILENO, code;
    bool entered;
    ssize_t written;
    signal_default();
    entered = folder == NULL || chdir(folder) == 0;
    if (entered && input >= 0 && (input == STDIN_FILENO || dup2(input, STDIN_FILENO) >= 0) &&
        (kind == PROGRAM_DIALOGUE || dup2(STDERR_FILENO, STDOUT_FILENO) >= 0))
        execvp(argv[0], (char *const *)argv);
    code = entered ? errno : -errno;
    written = write(failure, &code, sizeof code);
    (void)written;
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ignore_ours(struct sigaction *saved)
{
    struct sigaction ignore;
    size_t i;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    for (i = 0; i < OURS; i++)
        sigaction(ours[i], &ignore, &saved[i]);
}

static void restore_ours(const struct sigaction *saved)
{
    size_t i;
    for (i = 0; i < OURS; i++)
        sigaction(ours[i], &saved[i], NULL);
}

int program_run(const char *const *argv, const char *folder, enum program_kind kind, struct error *error)
{
    struct sigaction saved[OURS];
    int ends[2], failure = 0, code = -1;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set(error, ERROR_USAGE, "cannot run %s: %s", argv[0], strerror(errno));
        return -1;
    }
    ignore_ours(saved);
    pid = fork();
    if (pid == 0)
        become(argv, folder, kind, ends[1]);
    close(ends[1]);
    if (pid < 0)
        failure = errno;
    else if (read(ends[0], &failure, sizeof failure) != sizeof failure)
        failure = 0; /* the pipe was closed by the program that runs now */
    close(ends[0]);
    if (pid > 0)
        code = wait_for(pid);
    restore_ours(saved);
    if (failure == 0)
        return code;
    if (failure < 0)
        error_set(error, ERROR_USAGE, "cannot run %s in the folder %s: %s", argv[0], folder, strerror(-failure));
    else
        error_set(error, ERROR_USAGE, "cannot run %s: %s", argv[0], strerror(failure));
    return -1;
}

#include "host/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "host/error.h"
#include "host/report_internal.h"

enum {
    GRACE = 3,     /* seconds between asking and leaving */
    TIME_GRACE = 1 /* the same in processor time */
};

volatile sig_atomic_t signal_interrupted;
volatile sig_atomic_t signal_expired;

static int ends[2] = {-1, -1};
static void (*volatile cancel)(void *);
static void *volatile cancel_data;

static void set_timer(int which, int seconds)
{
    struct itimerval value = {{0, 0}, {seconds, 0}};
    setitimer(which, &value, NULL);
}

static volatile sig_atomic_t exit_code;

static void on_last_alarm(int number)
{
    (void)number;
    _exit(exit_code);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART; /* poll comes back all the same */
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* A server that is not there must not keep the watchdog: a second is enough. */
static void limit_cancel(void)
{
    sigset_t alarm_only;
    handle(SIGALRM, on_last_alarm);
    set_timer(ITIMER_REAL, 1);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
}

/* Runs in a signal handler: only what is safe there. */
static void leave(const char *text, enum error_kind kind)
{
    const char *clear = report_line_end();
    ssize_t written = write(STDERR_FILENO, clear, strlen(clear));
    written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
    exit_code = error_exit_code(kind);
    if (cancel != NULL) {
        limit_cancel();
        cancel(cancel_data);
    }
    _exit(exit_code);
}

static void on_interrupt(int number)
{
    int saved = errno;
    if (!signal_interrupted) {
        ssize_t written = write(ends[1], "", 1);
        (void)written;
        signal_interrupted = 1;
        set_timer(ITIMER_REAL, GRACE);
    }
    (void)number;
    errno = saved;
}

static void on_alarm(int number)
{
    (void)number;
    leave("FAILED: interrupted\n  nothing came back within three seconds; the server rolls back what was "
          "under way\n",
          ERROR_INTERRUPTED);
}

static void on_time(int number)
{
    int saved = errno;
    (void)number;
    if (signal_expired)
        leave("FAILED: the script has used up its time in one call that cannot be stopped\n"
              "  the program leaves; the server rolls back what was under way\n",
              ERROR_MIGRATION);
    signal_expired = 1;
    set_timer(ITIMER_VIRTUAL, TIME_GRACE);
    errno = saved;
}

/* nohup has asked for SIGHUP to be ignored. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool signal_install(void)
{
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    handle(SIGINT, on_interrupt);
    handle(SIGTERM, on_interrupt);
    if (!is_ignored(SIGHUP))
        handle(SIGHUP, on_interrupt);
    handle(SIGALRM, on_alarm);
    handle(SIGVTALRM, on_time);
    handle(SIGCHLD,
           SIG_DFL); /* whoever started us may ignore it: we would not learn how our own children end */
    return true;
}

int signal_fd(void)
{
    return ends[0];
}

void signal_awaited(void)
{
    set_timer(ITIMER_REAL, GRACE);
}

void signal_noticed(void)
{
    set_timer(ITIMER_REAL, 0);
}

void signal_watch(void (*function)(void *), void *data)
{
    cancel = NULL;
    cancel_data = data;
    cancel = function;
}

void signal_default(void)
{
    sigset_t none;
    int number;
    for (number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for SIGKILL and SIGSTOP, which have no other */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void signal_limit(int seconds)
{
    set_timer(ITIMER_VIRTUAL, 0);
    signal_expired = 0;
    set_timer(ITIMER_VIRTUAL, seconds);
}

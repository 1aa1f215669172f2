/* What is under way, as a line at the foot of the terminal or, elsewhere, told now and then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/report.h"
#include "host/report_internal.h"

enum { COLUMNS = 80, COLUMNS_MOST = 500 };
static const double DRAW_FIRST = 0.3; /* what is over sooner needs no line */
static const double DRAW_EVERY = 0.1;
static const double LINE_EVERY = 10, EVENT_EVERY = 1;

static struct {
    const struct report_watch *watch; /* null: nothing is under way */
    volatile bool shown; /* its line stands on the terminal */
    double draw_at, line_at, event_at; /* by clock_now; below 0: never */
} state;

static bool has_variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0';
}

static bool is_dumb(void)
{
    return !has_variable("TERM") || strcmp(getenv("TERM"), "dumb") == 0;
}

static int columns_now(void)
{
    struct winsize size;
    int columns = has_variable("COLUMNS") ? atoi(getenv("COLUMNS")) : 0;
    if (columns <= 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    return columns <= 0 ? COLUMNS : columns < COLUMNS_MOST ? columns : COLUMNS_MOST;
}

static double interval_or(double usual)
{
    return report_options.progress > 0 ? report_options.progress : usual;
}

void report_watch(const struct report_watch *watch)
{
    double now = clock_now();
    bool drawn = isatty(STDERR_FILENO) && !is_dumb() && report_options.progress <= 0;
    bool silent = report_options.no_progress || report_options.quiet;
    report_clear_line();
    state.watch = watch;
    state.draw_at = drawn && !silent ? now + DRAW_FIRST : -1;
    state.line_at = drawn || silent ? -1 : now + interval_or(LINE_EVERY);
    state.event_at = report_options.json && !report_options.no_progress ? now + interval_or(EVENT_EVERY) : -1;
}

void report_unwatch(const struct report_watch *watch)
{
    if (state.watch != watch)
        return;
    report_clear_line();
    state.watch = NULL;
}

void report_clear_line(void)
{
    if (!state.shown)
        return;
    fputs(report_line_end(), stderr);
    fflush(stderr);
    state.shown = false;
}

const char *report_line_end(void)
{
    return state.shown ? "\r\033[K" : "";
}

static void draw(double now)
{
    char line[2 * COLUMNS_MOST + 100]; /* colours; characters of several bytes */
    bool colours = !report_options.no_color && !has_variable("NO_COLOR");
    state.watch->draw(state.watch->data, line, sizeof line, columns_now() - 1, colours);
    fprintf(stderr, "\r%s\033[K", line); /* overwritten before what is behind it is cleared: it does not flicker */
    fflush(stderr);
    state.shown = true;
    state.draw_at = now + DRAW_EVERY;
}

static bool is_due(double at, double now)
{
    return at >= 0 && at <= now;
}

void report_changed(void)
{
    double now;
    if (state.watch == NULL)
        return;
    now = clock_now();
    if (is_due(state.draw_at, now))
        draw(now);
    if (is_due(state.line_at, now)) {
        state.watch->tell(state.watch->data);
        state.line_at = now + interval_or(LINE_EVERY);
    }
    if (is_due(state.event_at, now)) {
        state.watch->event(state.watch->data);
        state.event_at = now + interval_or(EVENT_EVERY);
    }
}

int report_wait(int timeout)
{
    const double moments[] = {state.draw_at, state.line_at, state.event_at};
    double now, left;
    size_t i;
    if (state.watch == NULL)
        return timeout;
    now = clock_now();
    for (i = 0; i < sizeof moments / sizeof *moments; i++) {
        if (moments[i] < 0)
            continue;
        left = moments[i] > now ? (moments[i] - now) * 1000 + 1 : 0;
        if (timeout < 0 || left < timeout)
            timeout = (int)left;
    }
    return timeout;
}

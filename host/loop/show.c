#include "host/loop/show.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/config.h"
#include "host/step.h"

#define LOGGER "dmlua.tenants"
enum { ASKED_MOST = 200 }; /* how often answers are asked for only to show how far it is */

/* What every event says of the loop: of a step revision, direction and part, of a fix its name. */
static void begin_event(const struct show *show, const char *name)
{
    const struct step *step = show->step;
    report_event_begin(name);
    if (step->fix != NULL) {
        report_event_text("script", step->plan->revision);
        return;
    }
    report_event_text("revision", step->plan->revision);
    report_event_text("direction", step->direction);
    report_event_number("part", step->cut ? step->part : -1);
}

/* `run` prints a line a tenant and one at the end: what those say is no event, too. */
static bool tells_all(const struct show *show)
{
    return report_options.json && show->step->fix == NULL;
}

static void put_counts(const struct show *show)
{
    report_event_number("tenants", show->tenants);
    report_event_number("done_before", show->before);
    report_event_number("done", show->done);
    report_event_number("failed", show->failed);
    report_event_number("rows", show->rows);
    report_event_seconds("seconds", clock_now() - show->began);
}

static void tell_line(void *data)
{
    const struct show *show = data;
    char text[400];
    show_text(show, text, sizeof text);
    report_log(REPORT_INFO, LOGGER, "%s: %s", show->step->plan->revision, text);
}

static void tell_event(void *data)
{
    begin_event(data, "progress");
    put_counts(data);
    report_event_end();
}

static void tell_before(const struct show *show)
{
    char before[SHOW_NUMBER], tenants[SHOW_NUMBER];
    if (show->before > 0)
        report_log(REPORT_INFO, LOGGER, "%s: %s of %s tenants done by earlier runs", show->step->plan->revision,
                   show_number(before, show->before), show_number(tenants, show->tenants));
}

void show_open(struct step *step, const char *mode, int tenants, int before, int workers)
{
    struct show *show = calloc(1, sizeof *show);
    if (show == NULL)
        abort();
    *show = (struct show){.step = step, .tenants = tenants, .before = before, .rows = -1, .began = clock_now(),
                          .open = true, .earlier = step->show};
    step->show = show;
    show->watch = (struct report_watch){.draw = show_draw, .tell = tell_line, .event = tell_event, .data = show};
    tell_before(show);
    if (tells_all(show)) {
        begin_event(show, "loop_start");
        report_event_text("mode", mode);
        report_event_number("tenants", tenants);
        report_event_number("done_before", before);
        report_event_number("workers", workers);
        report_event_end();
    }
    report_watch(&show->watch);
}

static struct show *open_show(const struct step *step)
{
    return step->show != NULL && step->show->open ? step->show : NULL;
}

void show_tenants(struct step *step, int tenants)
{
    struct show *show = open_show(step);
    if (show != NULL)
        show->tenants = tenants;
}

static void count_done(void *show)
{
    ((struct show *)show)->done++;
    report_changed();
}

void show_done(struct step *step)
{
    if (open_show(step) != NULL)
        count_done(step->show);
}

void show_done_later(struct step *step)
{
    struct show *show = open_show(step);
    struct db *db = step->run->ledger->db;
    if (show == NULL)
        return;
    db_call(db, count_done, show);
    if (++show->sent % (show->tenants / ASKED_MOST + 1) == 0) { /* unasked, the server gathers its answers */
        db_ask(db);
        db_push(db);
    }
}

void show_rows(struct step *step, long long rows)
{
    struct show *show = open_show(step);
    if (show == NULL)
        return;
    show->rows = (show->rows > 0 ? show->rows : 0) + rows;
    report_changed();
}

/* [tenant, SQLSTATE, message]; the message may quote a password. */
static void put_failure(const struct step *step, const char *id, const struct error *error)
{
    char *masked = config_mask(step->run->config, error->message);
    report_event_text("tenant", id);
    report_event_text("sqlstate", error->sqlstate);
    report_event_text("message", masked);
    free(masked);
}

void show_failed(struct step *step, const char *id, const struct error *error)
{
    struct show *show = open_show(step);
    if (show == NULL)
        return;
    show->failed++;
    if (tells_all(show)) {
        begin_event(show, "tenant_failed");
        put_failure(step, id, error);
        report_event_text("file", error->file);
        report_event_number("line", error->line > 0 ? error->line : -1);
        report_event_end();
    }
    report_changed();
}

void show_retried(struct step *step, const char *id, int attempt, const struct error *error)
{
    if (open_show(step) == NULL)
        return;
    if (report_options.json) {
        begin_event(step->show, "tenant_retried");
        put_failure(step, id, error);
        report_event_number("attempt", attempt);
        report_event_end();
    }
    report_changed();
}

static void end(struct show *show, const char *outcome)
{
    if (!show->open)
        return;
    show->open = false;
    report_unwatch(&show->watch);
    if (!tells_all(show))
        return;
    begin_event(show, "loop_end");
    report_event_text("outcome", outcome);
    put_counts(show);
    report_event_end();
}

static void end_well(void *data)
{
    struct show *show = data;
    end(show, show->failed > 0 ? "failed" : "done");
}

void show_close(struct step *step)
{
    if (step->show != NULL)
        end_well(step->show);
}

void show_close_later(struct step *step)
{
    if (open_show(step) != NULL)
        db_call(step->run->ledger->db, end_well, step->show);
}

void show_free(struct step *step)
{
    while (step->show != NULL) {
        struct show *show = step->show;
        end(show, "stopped");
        step->show = show->earlier;
        free(show);
    }
}

char *show_standing(const struct step *step)
{
    const struct show *show = open_show(step);
    char done[SHOW_NUMBER], tenants[SHOW_NUMBER], left[SHOW_NUMBER], *text = NULL;
    int finished;
    if (show == NULL)
        return NULL;
    finished = show->before + show->done;
    error_text(&text, "%s of %s tenants of %s are done, %s left", show_number(done, finished),
               show_number(tenants, show->tenants), step->plan->revision, show_number(left, show->tenants - finished));
    return text;
}

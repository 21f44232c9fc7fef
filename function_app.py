"""Backup Autoheal: the triggers. Names, schedules and bindings are here; the use cases behind them are in `shared/`."""

import typing

import azure.functions as func

from shared import composition
from shared.api.event_binding import RawEvent, event_text, hand_over_text
from shared.domain.repair import Repair
from shared.domain.sign_in import SignIn
from shared.settings import STORAGE_CONNECTION
from shared.sources.event_grid import read_event

SETTINGS = composition.settings()
"""Read at start: a setting that cannot be used stops the app here, with one message that lists every such one."""

READ = ["GET", "HEAD"]
Jobs = typing.List[str]  # noqa: UP006 # of lists, the queue binding of azure-functions takes this spelling only
"""Several queue messages."""

hand_over_text()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def on_backup_failure(event: RawEvent, jobs: func.Out[str]) -> None:
    """A backup failed, says an event: open a remediation, queue its sync job. Or a cause may be repaired: wake."""
    report = read_event(event_text(event), composition.healing.now(), composition.healing.operation_filter())
    if isinstance(report, Repair):
        composition.healing.wake().run(report)
    elif job := composition.healing.intake().accept(report).job:
        jobs.set(job.to_message())


@app.queue_trigger(arg_name="message", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def submit_sync(message: func.QueueMessage) -> None:
    """Carry out a sync job: POST "Backup Instances - Sync Backup Instance"."""
    is_repeat = (message.dequeue_count or 1) > 1
    composition.healing.submit().run(message.get_body().decode(errors="replace"), is_repeat)


@app.queue_trigger(arg_name="message", queue_name="sync-jobs-poison", connection=STORAGE_CONNECTION)
def on_poison_job(message: func.QueueMessage) -> None:
    """Log a sync job that the queue gave up on; the remediation's due entry queues another."""
    composition.healing.submit().give_up(message.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule=SETTINGS.poll_schedule)
def poll_operations(timer: func.TimerRequest) -> None:
    """Poll the operations that are due and record how they ended."""
    composition.healing.poller().run()


@app.queue_trigger(arg_name="message", queue_name="due-shards", connection=STORAGE_CONNECTION)
def poll_shard(message: func.QueueMessage) -> None:
    """Poll what is due in one shard, where the timer's host found more than one host can do."""
    composition.healing.poller().run_shard(message.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule="0 17 3 * * *")
def purge_remediations(timer: func.TimerRequest) -> None:
    """Once a day, seal the outcomes of yesterday, and remove what ended longer ago than it is to be kept."""
    composition.reports.sealing().run()
    composition.healing.retention().purge()
    if SETTINGS.notify_webhook_url:
        composition.healing.notifier().purge()


if SETTINGS.notify_webhook_url:

    @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
    def send_notices(timer: func.TimerRequest) -> None:
        """Each minute, send the notices that are due, in one message."""
        composition.healing.notifier().run()


if SETTINGS.notify_webhook_url and SETTINGS.digest_schedule:

    @app.timer_trigger(arg_name="timer", schedule=SETTINGS.digest_schedule)
    def make_digest(timer: func.TimerRequest) -> None:
        """Tell what was healed and recovered since the last time, and what needs attention."""
        composition.healing.digest().run()


if SETTINGS.sweep_schedule:

    @app.timer_trigger(arg_name="timer", schedule=SETTINGS.sweep_schedule)
    def sweep_instances(timer: func.TimerRequest) -> None:
        """Find the instances that are broken though no signal came, and heal them."""
        composition.healing.sweep().on_schedule()
        composition.healing.needing_person().log()


@app.route("sweep", methods=["POST"])
def request_sweep(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/sweep`: sweep now, or say what a sweep would do."""
    return composition.api.sweep().request(req)


@app.route("sync", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def request_sync(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
    """`POST /api/sync`: heal this instance, or these."""
    return composition.api.sync().sync(req, jobs)


@app.route("alerts", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def receive_alert(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
    """`POST /api/alerts`: an action group says that backups failed."""
    return composition.api.alerts().receive(req, jobs)


@app.route("remediations", methods=READ)
def get_remediations(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/remediations`: list remediations."""
    return composition.api.remediations().list(req)


@app.route("remediations/{id}", methods=READ)
def get_remediation(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/remediations/{id}`: show one."""
    return composition.api.remediations().show(req)


@app.route("remediations/{id}/cancel", methods=["POST"])
def cancel_remediation(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/remediations/{id}/cancel`: stop a remediation."""
    return composition.api.remediations().cancel(req)


@app.route("incidents", methods=READ)
def get_incidents(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/incidents`: list incidents."""
    return composition.api.incidents().list(req)


@app.route("instances/acknowledge", methods=["POST"])
def acknowledge_instance(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/instances/acknowledge`: somebody knows that this instance needs a person."""
    return composition.api.instances().acknowledge(req)


@app.route("pauses", methods=READ)
def get_pauses(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/pauses`: which instances are paused."""
    return composition.api.pauses().list(req)


@app.route("pauses/begin", methods=["POST"])
def begin_pause(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/pauses/begin`: pause the instances of a scope."""
    return composition.api.pauses().begin(req)


@app.route("pauses/end", methods=["POST"])
def end_pause(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/pauses/end`: end the pause of a scope."""
    return composition.api.pauses().end(req)


@app.route("error-codes", methods=READ)
def get_error_codes(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/error-codes`: what is known of Azure's error codes, and how often a sync helped."""
    return composition.api.error_codes().list(req)


@app.route("report", methods=READ)
def get_report(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/report`: one month, to be printed or as CSV."""
    return composition.reports.page().show(req)


@app.route("status", methods=READ)
def get_status(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/status`: when the app last worked, and what it watches."""
    return composition.api.status().show(req)


@app.route("health", methods=READ)
def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/health`: whether the app can do its work."""
    return composition.api.meta().check_health()


@app.route("openapi.json", methods=READ)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/openapi.json`: this API, described."""
    return composition.api.meta().describe(req)


@app.route("dashboard", methods=[*READ, "POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def get_dashboard(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
    """`GET /api/dashboard`: the page. Its forms come here too: a function's own key opens no other function."""
    return composition.dashboard.page().answer(req, jobs)


if SETTINGS.sign_in is SignIn.ENTRA:

    @app.route("signed-in/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
    @app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
    def signed_in_request(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
        """Page and API for people who have signed in; `shared/api/signed_in.py` checks that they have."""
        return composition.signed_in.door().answer(req, jobs)


# Its name is the last by the alphabet: in that order the host tries the routes (azure-functions-host issue 9876).
@app.route("{*path}")
def unserved_request(req: func.HttpRequest) -> func.HttpResponse:
    """Any other path or method: an error that says so."""
    return composition.api.meta().unserved(req)

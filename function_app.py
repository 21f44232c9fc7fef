"""Backup Autoheal: the triggers. Names, schedules and bindings are here; what they do is in `shared/`."""

from typing import List  # noqa: UP035 # of lists, the queue binding of azure-functions takes this spelling only

import azure.functions as func

from shared import composition
from shared.clock import utc_now
from shared.settings import STORAGE_CONNECTION
from shared.sources import event_grid

SETTINGS = composition.settings()
"""Read at start: a setting that cannot be used stops the app here, with one message that lists every such one."""

READ = ["GET", "HEAD"]
Jobs = List[str]  # noqa: UP006 # as above
"""Several queue messages."""

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def on_backup_failure(event: func.EventGridEvent, jobs: func.Out[str]) -> None:
    """A backup failed, says an event: open a remediation and queue its sync job."""
    signal = event_grid.read_event(event, utc_now(), composition.operation_rules())
    intake = composition.healer().intake(signal)
    if intake and intake.job:
        jobs.set(intake.job.to_message())


@app.queue_trigger(arg_name="message", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def submit_sync(message: func.QueueMessage) -> None:
    """Carry out a sync job: POST "Backup Instances - Sync Backup Instance"."""
    composition.healer().submit(message.get_body().decode(errors="replace"))


@app.queue_trigger(arg_name="message", queue_name="sync-jobs-poison", connection=STORAGE_CONNECTION)
def on_poison_job(message: func.QueueMessage) -> None:
    """End the remediation of a sync job that failed too often."""
    composition.healer().give_up(message.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule=SETTINGS.poll_schedule)
def poll_operations(timer: func.TimerRequest) -> None:
    """Look at the operations that are due and record how they ended."""
    composition.tick().run()


@app.queue_trigger(arg_name="message", queue_name="due-shards", connection=STORAGE_CONNECTION)
def poll_shard(message: func.QueueMessage) -> None:
    """Look at what is due in one shard: a part of a tick that is too much for one host."""
    composition.tick().run_shard(message.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule="0 17 3 * * *")
def purge_remediations(timer: func.TimerRequest) -> None:
    """Once a day, remove what ended longer ago than it is to be kept."""
    composition.retention().purge()


if SETTINGS.sweep_schedule:

    @app.timer_trigger(arg_name="timer", schedule=SETTINGS.sweep_schedule)
    def sweep_instances(timer: func.TimerRequest) -> None:
        """Find the instances that are broken though no signal came, and heal them."""
        composition.sweep().on_schedule()


@app.route("sweep", methods=["POST"])
def request_sweep(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/sweep`: sweep now, or say what a sweep would do."""
    return composition.sweep_api().request(req)


@app.route("sync", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def request_sync(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
    """`POST /api/sync`: heal this instance, or these."""
    return composition.sync_api().sync(req, jobs)


@app.route("alerts", methods=["POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def receive_alert(req: func.HttpRequest, jobs: func.Out[Jobs]) -> func.HttpResponse:
    """`POST /api/alerts`: an action group says that backups failed."""
    return composition.alert_api().receive(req, jobs)


@app.route("remediations", methods=READ)
def get_remediations(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/remediations`: what was and is healed."""
    return composition.remediations_api().list(req)


@app.route("remediations/{id}", methods=READ)
def get_remediation(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/remediations/{id}`: how far a remediation is."""
    return composition.remediations_api().show(req)


@app.route("remediations/{id}/cancel", methods=["POST"])
def cancel_remediation(req: func.HttpRequest) -> func.HttpResponse:
    """`POST /api/remediations/{id}/cancel`: stop a remediation."""
    return composition.remediations_api().cancel(req)


@app.route("health", methods=READ)
def get_health(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/health`: whether the app can do its work."""
    return composition.http_api().healthy()


@app.route("openapi.json", methods=READ)
def get_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """`GET /api/openapi.json`: this API, described."""
    return composition.http_api().describe(req)


@app.route("dashboard", methods=[*READ, "POST"])
@app.queue_output(arg_name="jobs", queue_name="sync-jobs", connection=STORAGE_CONNECTION)
def get_dashboard(req: func.HttpRequest, jobs: func.Out[str]) -> func.HttpResponse:
    """`GET /api/dashboard`: the page. Its forms come here too: a function's own key opens no other function."""
    return composition.dashboard().answer(req, jobs)


# Its name is the last by the alphabet: in that order the host tries the routes (azure-functions-host issue 9876).
@app.route("{*path}")
def unserved_request(req: func.HttpRequest) -> func.HttpResponse:
    """Any other path or method: an error that says so."""
    return composition.http_api().unserved(req)

"""The routes of the page; see API.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from bundle import __version__
from bundle.report import ReportError
from bundle.report.texts import load_texts
from bundle.steps import STEPS
from scripts.peers import PeerError, fetch, send
from scripts.settings import MB, Server
from scripts.web import review
from scripts.web.events import Events
from scripts.web.exports import FILES, Exporter
from scripts.web.guard import COOKIE, REPORT_POLICY, Guard, same, session_cookie
from scripts.web.intake import Places, take
from scripts.web.labels import datalist, labels_of
from scripts.web.models import (
    Amendment,
    ExportFormat,
    Fetch,
    Info,
    Log,
    LogEntry,
    Problem,
    Received,
    RemoteSearch,
    RemoteStudy,
    Report,
    ReviewChange,
    Send,
    Sent,
    SeriesList,
    Signature,
    StudyEntry,
    StudyList,
    StudySearch,
    Target,
    Upload,
)
from scripts.web.peers import search
from scripts.web.reading_queue import ReadingQueue
from scripts.web.receive import receive_files
from scripts.web.settings import Settings
from scripts.web.store import Conflict, Store
from scripts.web.unpack import Refused
from scripts.web.view import INDEX, pixel_file

_HERE = Path(__file__).resolve().parent
STATIC, PAGES = _HERE / "static", _HERE / "pages"
_WRONG_TOKEN_SECONDS = 1.0
_STATUS: dict[type[Exception], int] = {Conflict: 409, ReportError: 422, PeerError: 502}
#: What a study's flags say that its user has to know at once, in the work list.
_ALARMS = ("no_spine_found",)


class Web:
    """Everything that the routes share.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.texts = load_texts(settings.language)
        self.places = Places(settings.data_dir)
        self.store = Store(self.places.database)
        self.events = Events()
        self.queue = ReadingQueue(settings, self.store, self.places)
        self.exporter = Exporter(self.places, settings.language, settings.inference_config)
        self.store.changed = self.events.tell

    def row(self, study: str) -> dict[str, Any]:
        """A study's row.

        Raises:
            HTTPException: 404, there is none.
        """
        row = self.store.study(study)
        if row is None:
            raise HTTPException(404, "There is no such study (any more).")
        return row

    def report_row(self, study: str, version: int | None) -> dict[str, Any]:
        """A report's row.

        Raises:
            HTTPException: 404, there is no such version; 409, the study has not been read.
        """
        self.row(study)
        report = self.store.report(study, version)
        if report is None:
            raise HTTPException(
                *((409, "The study has not been read yet.") if version is None else (404, "No such version."))
            )
        return report

    def entry(self, row: Mapping[str, Any]) -> StudyEntry:
        """A line of the work list."""
        alarms = [self.texts.flag(code, "study") for code in row["flags"] if code in _ALARMS]
        kept = ("id", "state", "step", "progress", "created_at", "updated_at", "study_instance_uid", "findings", "flags")
        return StudyEntry(
            **{name: row[name] for name in kept},
            **row["facts"],
            message=row["message"] or " ".join(alarms),
            ahead=self.store.ahead(row["queue_number"]) if row["state"] == "queued" else 0,
            signed_versions=len(self.store.signed_versions(row["id"])),
            related=self.store.related(row["id"], row["study_instance_uid"]),
        )

    def report(self, study: str, version: int | None = None) -> Report:
        """A report as the page shows it."""
        row = self.report_row(study, version)
        document = row["document"] if "review" in row["document"] else review.with_review(row["document"], {})
        codes = dict.fromkeys(document["flags"], "study")
        codes |= {code: "disk" for disk in document["disks"] for code in disk["flags"]}
        return Report(
            version=row["version"],
            versions=self.store.signed_versions(study),
            revision=row["revision"],
            document=document,
            texts={code: self.texts.flag(code, scope) for code, scope in codes.items()},
            files=sorted(path.name for path in self.places.report(study).glob("*.png")),
        )

    def received(self, taken: Mapping[str, Any]) -> Upload:
        """What an upload's sender is told."""
        self.queue.wake()
        rows = [(self.row(row["id"]), duplicate) for row, duplicate in taken["received"]]
        known = sum(duplicate for _, duplicate in rows)
        fresh = len(rows) - known
        parts = [f"{fresh} {'study' if fresh == 1 else 'studies'} queued."] if fresh else []
        if known:
            parts.append(f"{known} {'study is' if known == 1 else 'studies are'} here already.")
        entries = [Received(study=self.entry(row), duplicate=duplicate) for row, duplicate in rows]
        if any(one.study.related and not one.duplicate for one in entries):
            parts.append("Other images of the same study are here already.")
        if taken["left_out"]:
            parts.append(f"{taken['left_out']} files were left out: they are no images.")
        return Upload(received=entries, left_out=taken["left_out"], message=" ".join(parts))

    def server(self, name: str, dicomweb: bool = False) -> Server:
        """A configured server.

        Raises:
            HTTPException: 404, there is none of that name (that speaks DICOMweb).
        """
        server = self.settings.server(name)
        if server is None or (dicomweb and server.dicomweb is None):
            raise HTTPException(404, "No such server is configured.")
        return server


def web_of(request: Request) -> Web:
    """The shared state of the application that a request came to."""
    web: Web = request.app.state.web
    return web


Shared = Annotated[Web, Depends(web_of)]
Version = Annotated[int | None, Query(ge=1)]
api = APIRouter(prefix="/api", responses={"default": {"model": Problem}})


def create_app(settings: Settings) -> FastAPI:
    """The web application.

    Args:
        settings: of the server.

    Raises:
        StoreError: the work list cannot be opened.
        OSError: the data folder cannot be made.
        ReportError: there are no texts in the language of the settings.
    """
    web = Web(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        web.events.attach(asyncio.get_running_loop())
        web.places.clear(web.store.has)
        web.queue.start()
        yield
        await run_in_threadpool(web.queue.stop)
        web.store.close()

    app = FastAPI(
        title="Lumbar disks",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        # Nothing leaves the machine, whatever the environment says.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.web = web
    app.add_middleware(Guard, settings=settings)
    app.include_router(api)
    app.include_router(pages)
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for kind in _STATUS:
        app.add_exception_handler(kind, _known_problem)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(StarletteHTTPException, _http_problem)
    app.add_exception_handler(Exception, _unexpected)
    return app


# Problems: one line, and nothing of what was asked, which may hold a name.


async def _known_problem(_: Request, error: Exception) -> JSONResponse:
    text = str(error)
    if isinstance(error, ReportError):
        text = text[:1].upper() + text[1:]  # the others are sentences, or begin with a server's name
    return JSONResponse({"detail": text}, _STATUS[type(error)])


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, error.status if isinstance(error, Refused) else 400)


async def _not_valid(_: Request, error: Exception) -> JSONResponse:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": "not valid"}
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"detail": f"{place + ': ' if place else ''}{first['msg']}"}, 422)


async def _http_problem(_: Request, error: Exception) -> JSONResponse:
    status, detail = (error.status_code, error.detail) if isinstance(error, StarletteHTTPException) else (500, "")
    return JSONResponse({"detail": detail}, status)


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"Unexpected {type(error).__name__} in the server; please report it."}, 500)


# The work list


@api.get("/info")
def info(web: Shared) -> Info:
    """What the page needs to know at its start."""
    settings = web.settings
    return Info(
        version=__version__,
        language=settings.language,
        languages=languages(),
        steps=list(STEPS),
        servers=[server.name for server in settings.servers if server.dicomweb],
        targets=[Target(name=s.name, kind="dicomweb" if s.dicomweb else "dicom") for s in settings.servers],
        exports=list(FILES),
        max_upload_bytes=settings.limits.max_upload_mb * MB,
        token_needed=bool(settings.token),
    )


@api.post(
    "/studies",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    }
                }
            },
        }
    },
)
async def upload(request: Request, web: Shared) -> Upload:
    """Files of a folder, or zip archives: every study in them is queued."""
    with web.places.workbench(web.settings.limits) as folder:
        (folder / "parts").mkdir()
        files = await receive_files(request, web.settings.limits, folder / "parts")
        taken = await run_in_threadpool(take, files, folder, web.places, web.store, web.settings.limits)
    return web.received(taken)


@api.post("/studies/from-dicomweb")
def from_dicomweb(asked: Fetch, web: Shared) -> Upload:
    """Fetch a study from a configured server and queue it."""
    server = web.server(asked.server, dicomweb=True)
    with web.places.workbench(web.settings.limits) as folder:
        (folder / "parts").mkdir()
        limits = web.settings.limits
        files = fetch(server, asked.study_instance_uid, folder / "parts", limits.max_upload_mb, limits.max_files)
        taken = take(files, folder, web.places, web.store, web.settings.limits)
    return web.received(taken)


@api.post("/servers/{name}/search")
def search_server(name: str, asked: RemoteSearch, web: Shared) -> list[RemoteStudy]:
    """Studies on a configured server."""
    filters = {
        "PatientName": asked.patient_name,
        "PatientID": asked.patient_id,
        "AccessionNumber": asked.accession_number,
        "StudyDate": asked.study_date,
    }
    found = search(web.server(name, dicomweb=True), filters)
    return [RemoteStudy(**study, here=web.store.related("", study["study_instance_uid"])) for study in found]


@api.get("/studies")
def newest(web: Shared) -> StudyList:
    """The newest studies."""
    return search_studies(StudySearch(), web)


@api.post("/studies/search")
def search_studies(asked: StudySearch, web: Shared) -> StudyList:
    """A page of the work list."""
    found = web.store.studies(asked.query, asked.states, asked.offset, asked.limit)
    return StudyList(total=found["total"], studies=[web.entry(row) for row in found["studies"]])


@api.get("/studies/{study}")
def one_study(study: str, web: Shared) -> StudyEntry:
    """One line of the work list."""
    return web.entry(web.row(study))


@api.post("/studies/{study}/retry")
def retry(study: str, web: Shared) -> StudyEntry:
    """Read a study again that failed."""
    web.row(study)
    if not web.store.queue_again(study):
        raise HTTPException(409, "Only a study that failed can be read again.")
    web.queue.wake()
    return web.entry(web.row(study))


@api.delete("/studies/{study}", status_code=204)
def delete(study: str, web: Shared, signed: bool = False) -> None:
    """Take a study away with all its files; its log stays."""
    web.row(study)
    if web.store.signed_versions(study) and not signed:
        raise HTTPException(409, "The study has a signed report: confirm that it is deleted too.")
    web.store.delete(study)
    web.places.discard(study)


@api.get("/events", response_class=StreamingResponse)
async def events(web: Shared) -> StreamingResponse:
    """Server-sent events: each study that changes."""

    async def lines() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async for study in web.events.listen():
            yield await run_in_threadpool(_event, web, study) if study else ": still here\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


def _event(web: Web, study: str) -> str:
    row = web.store.study(study)
    if row is None:
        return f"event: deleted\ndata: {json.dumps({'id': study})}\n\n"
    return f"event: study\ndata: {web.entry(row).model_dump_json()}\n\n"


# Reading view


@api.get("/studies/{study}/series")
def series(study: str, web: Shared) -> SeriesList:
    """The series for the viewer, with the place of every image in the patient."""
    web.row(study)
    try:
        found = json.loads((web.places.view(study) / INDEX).read_text(encoding="utf-8"))["series"]
    except FileNotFoundError:
        raise HTTPException(409, "The study has not been read yet.") from None
    for one in found:
        for number, image in enumerate(one["images"]):
            image["pixels"] = f"/api/studies/{study}/series/{one['index']}/images/{number}"
    return SeriesList(series=found)


@api.get("/studies/{study}/series/{number}/images/{image}", response_class=FileResponse)
def pixels(study: str, number: int, image: int, web: Shared) -> FileResponse:
    """An image's pixels: unsigned 16-bit, little-endian, row by row."""
    web.row(study)
    path = pixel_file(web.places.view(study), number, image)
    if not path.is_file():
        raise HTTPException(404, "There is no such image.")
    return FileResponse(path, media_type="application/octet-stream")


@api.get("/studies/{study}/report")
def report(study: str, web: Shared, version: Version = None) -> Report:
    """The report with the person's review."""
    return web.report(study, version)


@api.get("/studies/{study}/report/files/{name}", response_class=FileResponse)
def report_file(study: str, name: str, web: Shared) -> FileResponse:
    """A picture of the report."""
    web.row(study)
    found = {path.name: path for path in web.places.report(study).glob("*.png")}
    if name not in found:
        raise HTTPException(404, "There is no such picture.")
    return FileResponse(found[name], media_type="image/png")


@api.get("/studies/{study}/report/page", response_class=HTMLResponse)
def report_page(study: str, web: Shared, version: Version = None) -> Response:
    """The report as a page to look at, for a frame."""
    path = web.exporter.file(study, web.report_row(study, version), "html")
    return HTMLResponse(path.read_bytes(), headers={"content-security-policy": REPORT_POLICY})


@api.put("/studies/{study}/review")
def change_review(study: str, asked: ReviewChange, web: Shared) -> Report:
    """Keep a draft."""
    web.row(study)
    review.change(web.store, study, asked)
    return web.report(study)


@api.post("/studies/{study}/sign")
def sign(study: str, asked: Signature, web: Shared) -> Report:
    """Freeze the draft."""
    web.row(study)
    review.sign(web.store, study, asked)
    return web.report(study)


@api.post("/studies/{study}/amend")
def amend(study: str, asked: Amendment, web: Shared) -> Report:
    """Open the next version."""
    web.row(study)
    review.amend(web.store, study, asked)
    return web.report(study)


# What leaves the page


@api.get("/studies/{study}/export/{kind}", response_class=FileResponse)
def export(study: str, kind: ExportFormat, web: Shared, version: Version = None) -> FileResponse:
    """The report as a file."""
    path = web.exporter.file(study, web.report_row(study, version), kind)
    name = f"lumbar-{study[:6]}-{path.name}"
    return FileResponse(path, media_type=FILES[kind][1], filename=name, headers={"content-security-policy": REPORT_POLICY})


@api.get("/export/labels")
def export_labels(web: Shared) -> JSONResponse:
    """The last signed version of every study, as training labels."""
    items = []
    for study in web.store.signed_studies():
        row = web.store.report(study, web.store.signed_versions(study)[-1])
        if row is not None:
            items.append(labels_of(study, str(web.places.images(study).relative_to(web.places.root)), row["document"]))
    return JSONResponse(datalist(items), headers={"content-disposition": 'attachment; filename="lumbar-labels.json"'})


@api.post("/studies/{study}/send")
def send_report(study: str, asked: Send, web: Shared) -> Sent:
    """Send a signed report to a configured server."""
    web.row(study)
    server = web.server(asked.target)
    signed = web.store.signed_versions(study)
    if not signed or (asked.version is not None and asked.version not in signed):
        raise HTTPException(409, "Only a signed report can be sent.")
    version = asked.version or signed[-1]
    files = web.exporter.dicom_files(study, web.report_row(study, version))
    count = send(server, files, web.settings.ae_title)
    web.store.log(study, "", [(f"version {version} sent", None, server.name)])
    return Sent(target=server.name, objects=count, message=f"{count} objects were stored on {server.name}.")


@api.get("/studies/{study}/log")
def change_log(study: str, web: Shared) -> Log:
    """All changes of a study's report."""
    web.row(study)
    return Log(entries=[LogEntry(**line) for line in web.store.log_of(study)])


# Pages

pages = APIRouter(include_in_schema=False)


@pages.get("/")
def index() -> FileResponse:
    """The page."""
    built = STATIC / "index.html"
    return FileResponse(built if built.is_file() else PAGES / "unbuilt.html")


@pages.get("/login")
def login_page() -> FileResponse:
    """The form that asks for the token."""
    return FileResponse(PAGES / "login.html")


@pages.get("/login.css")
def login_style() -> FileResponse:
    """The form's looks."""
    return FileResponse(PAGES / "login.css")


@pages.post("/login")
async def login(request: Request, web: Shared, token: Annotated[str, Form()] = "") -> Response:
    """Exchange the token for a cookie."""
    if not web.settings.token or not same(token.strip(), web.settings.token):
        await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        return RedirectResponse("/login#wrong", status_code=303)
    answer = RedirectResponse("/", status_code=303)
    secure = web.settings.certificate is not None
    answer.set_cookie(COOKIE, session_cookie(web.settings.token), httponly=True, samesite="strict", secure=secure)
    return answer


def languages() -> list[str]:
    """Languages that reports can be written in."""
    from importlib.resources import files

    return sorted(
        place.name[:-5] for place in files("bundle.report").joinpath("texts").iterdir() if place.name.endswith(".yaml")
    )

"""Failures as Glance writes them: a small page, from which clients take the sentence."""

from html import escape

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from api.faults import Fault


def render_fault(request: Request, fault: Fault) -> Response:
    """Write the page that Glance writes; JSON for a client that asks for nothing else."""
    headers = dict(fault.headers)
    if fault.status == 401:
        headers["WWW-Authenticate"] = "Keystone uri=/identity"
    if "html" not in request.headers.get("accept", "") and "*/*" not in request.headers.get("accept", "*/*"):
        body = {"code": f"{fault.status} {fault.title}", "title": fault.title, "message": fault.message}
        return JSONResponse(body, fault.status, headers=headers)
    status = f"{fault.status} {fault.title}"
    page = (
        f"<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n"
        f"  {escape(fault.message)}<br /><br />\n\n\n </body>\n</html>"
    )
    return HTMLResponse(page, fault.status, headers=headers)

"""`distilkit push`: a run's model on the Hugging Face hub, after a question or with --yes."""

import json

from distilkit import options
from distilkit.api.publishing import Upload, prepare
from distilkit.commands.output import agrees
from distilkit.errors import UserError
from distilkit.tables import plain, size


def push(asked: options.Push) -> str:
    """Return what was uploaded, and where to; raises UserError where nobody agreed to it."""
    upload = prepare(asked.run, asked.to, private=asked.private, license=asked.license_, runs_dir=asked.runs_dir)
    if not asked.yes and not (not asked.json_ and agrees(_to_text(upload), "upload it?")):
        raise UserError(f"nothing was uploaded to {asked.to}; confirm with --yes")
    address = upload.send()
    if asked.json_:
        found = {"to": upload.to, "address": address, "files": upload.names, "bytes": upload.bytes}
        return json.dumps(found, indent=2)
    return f"{_to_text(upload)}\nuploaded: {address}"


def _to_text(upload: Upload) -> str:
    whom = " (private where it is new)" if upload.private else ""
    files = ", ".join(map(plain, upload.names))
    return f"{upload.folder} to {upload.to}{whom}: {size(upload.bytes)} in {len(upload.names)} files: {files}"

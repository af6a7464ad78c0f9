"""`samunet models`: which models there are, and getting, installing, converting, deleting and exporting them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

from ..atomic_file import check_destination
from ..checkpoints.catalogue import CatalogueEntry, read_catalogue
from ..checkpoints.installed import ALL_MODELS, find_user_model, suggest_name
from ..checkpoints.listing import ListedModel, list_models
from ..checkpoints.starting import adapt_model
from ..checkpoints.steps import Progress
from ..checkpoints.store import (
    all_model_files,
    convert_model,
    delete_model,
    delete_model_files,
    download_model,
    install_model,
)
from ..errors import ExitCode, ModelError, UserError
from ..extras import needing
from ..option_types import share

HELP = "List models with licence and state; download, install, convert or delete them."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(work=_list)
    works = parser.add_subparsers(metavar="WORK")

    get = works.add_parser("download", help="download a model of the list, after showing its licence")
    get.add_argument("name", help="of the list")
    get.add_argument("--yes", action="store_true", help="do not ask")
    get.set_defaults(work=_download)

    install = works.add_parser("install", help="copy a checkpoint file into the program's models")
    install.add_argument("file", type=Path, help="checkpoint: .pth, .pt or .safetensors")
    install.add_argument("--name", help="to call it by")
    install.add_argument("--yes", action="store_true", help="do not ask before replacing a model of that name")
    add_family_arguments(install)
    install.set_defaults(work=_install)

    delete = works.add_parser("delete", help="delete an installed model")
    delete.add_argument("name", help="a model's name, or 'all'")
    delete.add_argument("--yes", action="store_true", help="do not ask before deleting all")
    delete.set_defaults(work=_delete)

    convert = works.add_parser("convert", help="write a checkpoint as a safetensors file")
    convert.add_argument("model", help="model name or checkpoint file")
    convert.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors to write")
    convert.add_argument("--family", help="network family of a checkpoint whose layout two families share")
    convert.add_argument("--half", action="store_true", help="in half precision")
    convert.set_defaults(work=_convert)

    adapt = works.add_parser("adapt", help="make a SAM-UNet start checkpoint from SAM's ViT-B, for training")
    adapt.add_argument("--vit", required=True, help="sam_vit_b, or its file")
    adapt.add_argument("--resnet", type=Path, help="torchvision's ResNet checkpoint for the conv branch")
    adapt.add_argument(
        "--family", choices=["sam_unet_res34", "sam_unet_res50"], default="sam_unet_res34",
        help="by the ResNet (default: sam_unet_res34)",
    )  # fmt: skip
    adapt.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors to write")
    adapt.set_defaults(work=_adapt)

    export = works.add_parser("export", help="write what a training has reached as weights to use and to share")
    export.add_argument("checkpoint", type=Path, help="in the training's folder")
    export.add_argument("--from", dest="start", type=Path, required=True, help="the checkpoint that it started from")
    export.add_argument(
        "--share", type=share, default=1.0,
        help="of what training has reached; the rest is the start's weights, of the same family (default: 1)",
    )  # fmt: skip
    export.add_argument("--about", type=_texts, default={}, help="text entries for the file's header, as JSON")
    export.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors to write")
    export.set_defaults(work=_export)


def _texts(text: str) -> dict[str, str]:
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        raise argparse.ArgumentTypeError("the entries must be a JSON object")
    return {name: str(value) for name, value in entries.items()}


def add_family_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how a checkpoint file is to be understood."""
    parser.add_argument("--family", help="network family of a checkpoint whose layout two families share")
    parser.add_argument("--base", help="SAM's checkpoint (name or file) for files that hold only what was added to it")
    parser.add_argument("--input-size", type=int, metavar="PX", help="side that such a file was trained at")


def run(arguments: argparse.Namespace) -> ExitCode:
    return arguments.work(arguments)


def _list(arguments: argparse.Namespace) -> ExitCode:
    rows = [_describe(model) for model in list_models()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return ExitCode.OK
    for row in rows:
        size = f", {row['megabytes']} MB" if row["megabytes"] else ""
        print(f"{row['name']}  ({row['state']}{size}, {row['licence']})")
        if row["title"]:
            prompts = ", ".join(row["prompts"]) or "classes, without prompts"
            print(f"  {row['title']}; trained for {prompts}; input {row['input_size']} px")
            print(f"  {row['source']}")
    return ExitCode.OK


def _describe(model: ListedModel) -> dict:
    entry = model.entry
    return {
        "name": model.name,
        "title": entry.title if entry else "",
        "family": model.family,
        "state": model.state.value,
        "megabytes": round(entry.file.size / 1e6) if entry and entry.file.size else None,
        "licence": model.licence,
        "prompts": list(entry.trained_prompts) if entry else [],
        "input_size": entry.input_size if entry else None,
        "source": entry.source if entry else "",
    }


def _download(arguments: argparse.Namespace) -> ExitCode:
    steps = download_model(arguments.name)
    if not arguments.yes and not _agreed(read_catalogue().get(arguments.name)):
        print("Nothing was downloaded.")
        return ExitCode.CANCELLED
    _follow(steps)
    print(f"Installed {arguments.name}")
    return ExitCode.OK


def _agreed(entry: CatalogueEntry) -> bool:
    size = f"{entry.file.size / 1e6:,.0f} MB" if entry.file.size else "a file of unknown size"
    print(f"{entry.title}: {size} from {entry.file.url}\nLicence: {entry.licence}\nSource: {entry.source}")
    return _says_yes("Download it?", "Nothing is downloaded without a yes. Add --yes after reading the licence.")


def _says_yes(question: str, otherwise: str) -> bool:
    """otherwise: what is told where nobody can be asked. Raises UserError there."""
    if not sys.stdin.isatty():
        raise UserError(otherwise)
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print()
        return False


def _follow(steps) -> None:
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=None, dynamic_ncols=True) as bar:
        step: Progress
        for step in steps:
            bar.total = step.total_bytes
            bar.set_postfix_str(step.phase.value)
            bar.update(step.done_bytes - bar.n)


def _install(arguments: argparse.Namespace) -> ExitCode:
    there = find_user_model(read_catalogue().spelled(arguments.name or suggest_name(arguments.file)))
    if there is not None and not arguments.yes and not _agreed_to_replace(there.stem):
        print("Nothing was installed.")
        return ExitCode.CANCELLED
    model = install_model(
        arguments.file, arguments.name, arguments.family, base=arguments.base, input_size=arguments.input_size
    )
    print(f"Installed {model.name} ({model.family}, licence: {model.licence})")
    return ExitCode.OK


def _agreed_to_replace(name: str) -> bool:
    there = f"There is a model called {name} already."
    return _says_yes(f"{there} Replace it?", f"{there} Add --yes to replace it, or choose another name (--name).")


def _delete(arguments: argparse.Namespace) -> ExitCode:
    if arguments.name != ALL_MODELS:
        paths = [delete_model(arguments.name)]
    else:
        paths = all_model_files()
        if paths and not arguments.yes and not _agreed_to_delete(paths):
            print("Nothing was deleted.")
            return ExitCode.CANCELLED
        delete_model_files(paths)
    print(f"Deleted {_files(len(paths))}")
    return ExitCode.OK


def _agreed_to_delete(paths: list[Path]) -> bool:
    print(f"In {paths[0].parent}:")
    for path in paths:
        print(f"  {path.name}")
    files = _files(len(paths))
    return _says_yes(f"Delete {files}?", f"Nothing is deleted without a yes. Add --yes to delete {files}.")


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _check_output(output: Path) -> None:
    """Before the work, which takes a while with large models."""
    if output.suffix != ".safetensors":
        raise ModelError("The output must end in .safetensors.")
    check_destination(output)


def _convert(arguments: argparse.Namespace) -> ExitCode:
    _check_output(arguments.output)
    print(f"Saved {convert_model(arguments.model, arguments.output, arguments.family, half=arguments.half)}")
    return ExitCode.OK


def _adapt(arguments: argparse.Namespace) -> ExitCode:
    _check_output(arguments.output)
    print(f"Saved {adapt_model(arguments.vit, arguments.output, arguments.family, arguments.resnet)}")
    return ExitCode.OK


def _export(arguments: argparse.Namespace) -> ExitCode:
    with needing("train"):
        from ..learning.export import export_weights
    _check_output(arguments.output)
    export_weights(arguments.checkpoint, arguments.start, arguments.output, arguments.about, arguments.share)
    print(f"Saved {arguments.output}")
    return ExitCode.OK

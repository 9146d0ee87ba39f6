"""Size of a report on many sequences, and the time until a browser has drawn it.

    python benchmarks/report.py [--sequences 1000] [--length 400] [--repeats 5]

Random sequences with the results of mutagenesis and of DeepSHAP, every number of which differs. The time is
from the start of the navigation, as the page's own clock has it, to the moment at which tables, tracks and
locus are drawn; Chromium runs without a window. A server on this machine holds the load of the page back
until then.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind import encode_sequences, write_report

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def results(n: int, length: int) -> list[xr.Dataset]:
    """Mutagenesis and DeepSHAP of random sequences, with heavy tails and a site in the middle."""
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), size=(n, length))
    sequences = encode_sequences(["".join(row) for row in letters], ids=[f"peak_{i}" for i in range(n)])
    start = 60_000 + np.sort(rng.choice(900_000, n, replace=False))
    coordinates = {"chrom": ["chr20"] * n, "start": start, "end": start + length, "strand": ["+"] * n}
    sequences = sequences.assign_coords(
        target=["CTCF"], **{name: ("sequence", values) for name, values in coordinates.items()}
    )
    dims = ("sequence", "position", "base", "target")
    effect = (0.05 * rng.standard_t(2, size=(n, length, 4, 1))).astype(np.float32)
    effect[:, length // 2 - 8 : length // 2 + 8] *= 20
    own = sequences["one_hot"].values[..., np.newaxis]
    shared = sequences.assign(
        prediction=(("sequence", "target"), rng.normal(0, 4, size=(n, 1)).astype(np.float32))
    ).assign_attrs(output="logit", model="random", model_source="", versions="random numbers")
    ism = shared.assign(mutation_effect=(dims, effect * (1 - own)))
    deep_shap = shared.assign(
        hypothetical_contribution=(dims, -effect / 4), contribution=(dims, -effect / 4 * own)
    )
    return [
        ism.assign_attrs(method="in_silico_mutagenesis"),
        deep_shap.assign_attrs(method="deep_shap"),
    ]


class Holder(BaseHTTPRequestHandler):
    """Holds /hold back until /ready was asked for with a time, which it keeps."""

    milliseconds: float = float("nan")
    ready = threading.Event()

    def do_GET(self) -> None:
        """Answer a request."""
        if self.path.startswith("/ready/"):
            type(self).milliseconds = float(self.path.rsplit("/", 1)[1])
            self.ready.set()
        else:
            self.ready.wait(60)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Write nothing."""


def time_to_draw(page: Path, folder: Path) -> float:
    """Milliseconds until a page is drawn."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Holder)
    Holder.ready.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    html = page.read_text()
    policy = next(line for line in html.splitlines() if "Content-Security-Policy" in line)
    asking = f"""<img src="{address}/hold" alt=""><script>
      const wait = () => document.body.dataset.ready
        ? fetch("{address}/ready/" + document.body.dataset.ready) : setTimeout(wait, 5);
      wait();
    </script></body>"""
    copy = folder / "timed.html"
    copy.write_text(html.replace(policy, "").replace("</body>", asking))
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
    command += [f"--user-data-dir={folder / 'profile'}", copy.as_uri()]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    server.shutdown()
    return Holder.milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--page", type=Path, help="a report that is there, instead of one of random numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = arguments.page or folder / "report.html"
        if not arguments.page:
            began = time.perf_counter()
            write_report(results(arguments.sequences, arguments.length), page)
            print(f"written in {time.perf_counter() - began:.1f} s")
        print(f"{page.stat().st_size / 1e6:.2f} MB")
        times = sorted(time_to_draw(page, folder) for _ in range(arguments.repeats))
        print("drawn after (ms):", ", ".join(f"{value:.0f}" for value in times))


if __name__ == "__main__":
    main()

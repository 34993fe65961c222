"""Print how near the estimates come: ``python -m tools.estimate_accuracy [--models]``."""

from __future__ import annotations

import statistics
import sys

from tools.estimate_accuracy import linux, mac


def main() -> None:
    """Print the figures of the Mac's runs and of the CPU's."""
    for headers in (True, False):
        told = list(mac.runs(headers))
        print("Mac, weights", "as the headers sum" if headers else "counted from configs")
        for name, aside in (("fitted", False), ("set aside", True)):
            chosen = [run for run in told if run.aside is aside]
            print(f"  {name}: {mac.figures(chosen)}")
            if "--models" in sys.argv[1:]:
                _models(chosen)
    by_kind: dict[str, list[float]] = {}
    for kind, words, weights, peak in linux.errors():
        by_kind.setdefault(kind, []).append(peak)
        if "--models" in sys.argv[1:]:
            print(f"  {words}: weights {weights:+.2%}, peak {peak:+.1%}")
    print("CPU backend:")
    for kind, found in by_kind.items():
        within = sum(abs(error) <= 0.1 for error in found)
        print(f"  {kind}: {within} of {len(found)} within 10 %, worst {max(found, key=abs):+.1%}")


def _models(told: list[mac.Run]) -> None:
    for model in sorted({run.model for run in told}):
        found = [run for run in told if run.model == model]
        peaks = [run.error for run in found]
        weights = found[0].told.weights_bytes / found[0].measured_weights - 1
        print(
            f"    {model}: weights {weights:+.1%}, peak {statistics.median(peaks):+.1%}, "
            f"worst {max(peaks, key=abs):+.1%}, "
            f"{sum(abs(error) <= 0.15 for error in peaks)} of {len(peaks)} within 15 %"
        )


if __name__ == "__main__":
    main()

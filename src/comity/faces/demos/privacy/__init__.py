"""Attacks on what leaves four hospitals, unprotected, summed securely, noised, and both.

Data: BreastMNIST (Yang et al., "MedMNIST v2", Scientific Data 2023). Attacks: analytic gradient inversion and LiRA, see
`comity.privacy.attacks`. Whoever attacks is told all but the hospitals' images, masks and noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from comity.data import breastmnist
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.faces.demos.privacy import members, pictures, settings
from comity.faces.demos.privacy.lab import Finding, Lab, figures
from comity.faces.demos.privacy.members import Federation, Members
from comity.faces.demos.privacy.pictures import Pictures, Public
from comity.faces.demos.privacy.settings import EPSILON, Setting, four
from comity.privacy.attacks import best_psnr
from comity.values.table import Cell, Table

Watch: TypeAlias = Callable[[Sequence[str]], Iterator[str]]

SEED = 0
"""By which images are dealt to the hospitals whose update is attacked, and whose run is reported."""

OTHER_EPSILONS = (1.0, 10.0, 100.0)

NOTES = (
    "A secure sum hides who: of what a hospital sends, masked, nothing can be read; of the sum images still can, but "
    "not whose they are. DP hides the record: the best guess at an image is what all such images look like. "
    "Both do both.",
    "Images are read off one step along all of a hospital's {images} images, from the first layer's gradients. The "
    "attacker wrote the first parameters, as whoever writes an experiment or hands on its state could; with torch's "
    "own, fewer come back. An image is back above 40 dB; PSNR is the median of all {all} images, each with what is "
    "most like it, as read or as the best guess. The mean image has {mean:.1f} dB.",
    "Members are told from images of nobody by LiRA against {targets} federations, with {shadows} of the attacker's "
    "own; the better figure of what each hospital sent last and of their last average is shown. At most: upper end of "
    "the 95 % interval, in which every decision counts as one by itself.",
    "ε is of each image, over all of an experiment, at δ = {delta:g}; each attack has an experiment of its own. Rates "
    "and clips were chosen by hand among about thirty, by these very figures, which is in no ε. Test AUC and balanced "
    "accuracy are means over the federations attacked.",
)


def demo(watch: Watch) -> Lab:
    """Both attacks in all four settings."""
    with settings.on_purpose():
        return _lab(watch)


def _lab(watch: Watch) -> Lab:
    shots, found, shown = dict[tuple[str, bool], Pictures](), dict[str, Members](), four()
    pairs = {f"members, {clear.name} and {masked.name}": (clear, masked) for clear, masked in (shown[:2], shown[2:])}
    images = {f"images, {setting.name}": setting for setting in shown}
    for name in watch([*images, *pairs]):
        if name in images:
            setting = images[name]
            shots |= {(setting.name, tampered): _images(setting, tampered=tampered) for tampered in (True, False)}
        else:
            found |= {made.setting.name: made for made in _members(*pairs[name])}
    findings = [
        Finding(
            setting=setting,
            tampered=shots[setting.name, True],
            untouched=shots[setting.name, False],
            members=found[setting.name],
        )
        for setting in shown
    ]
    mean_image = _mean_image(shots["nothing", True])
    return Lab(
        demo="privacy",
        title="Breast ultrasound, four hospitals: what an attacker makes of what leaves them",
        data="breastmnist",
        findings=findings,
        mean_image=mean_image,
        notes=[*_notes(mean_image), *_warnings(shown)],
        run=simulate(
            members.experiment(shown[-1]),
            Sites(settings.deal(*settings.as_features(), SEED).sites),
            Simulation(baselines=("pooled",)),
        ),
        shown=shown[-1].name,
    )


def more(watch: Watch) -> list[Table]:
    """What another ε would do, where each hospital's part is in the clear."""
    others = {f"ε = {epsilon:g}": four(epsilon)[2] for epsilon in OTHER_EPSILONS}
    rows: list[dict[str, Cell]] = []
    with settings.on_purpose():
        for name in watch(list(others)):
            setting = others[name]
            targets, shadows = _trained(setting)
            rows.append(figures(_images(setting, tampered=True), members.attacked(setting, targets, shadows)))
    return [Table(f"DP with other ε than {EPSILON:g}", list(rows[0]), [list(row.values()) for row in rows])]


def _images(setting: Setting, *, tampered: bool) -> Pictures:
    train, test = breastmnist()
    dealt = settings.deal(train, test, SEED)
    return pictures.attacked(setting, dealt.sites, Public(*settings.typical(test)), tampered=tampered)


def _members(clear: Setting, masked: Setting) -> list[Members]:
    """The attacks with and without a secure sum: an attacker's own federations need no masks."""
    targets, shadows = _trained(clear)
    train, test = settings.as_features()
    behind_masks = [members.federation(masked, train, test, seed) for seed in range(members.TARGETS)]
    return [members.attacked(clear, targets, shadows), members.attacked(masked, behind_masks, shadows)]


def _trained(setting: Setting) -> tuple[list[Federation], list[Federation]]:
    """Federations to attack, and others of the attacker's."""
    train, test = settings.as_features()
    number = members.TARGETS + members.SHADOWS
    made = [members.federation(setting, train, test, seed) for seed in range(number)]
    return made[: members.TARGETS], made[members.TARGETS :]


def _notes(mean_image: float) -> list[str]:
    said = {
        "images": settings.IMAGES,
        "all": settings.IMAGES * len(settings.HOSPITALS),
        "mean": mean_image,
        "targets": members.TARGETS,
        "shadows": members.SHADOWS,
        "delta": settings.DELTA,
    }
    return [note.format(**said) for note in NOTES]


def _warnings(shown: Sequence[Setting]) -> list[str]:
    """What comity says of each when such an experiment is made."""
    heard = {setting.name: settings.warned_of(lambda setting=setting: members.experiment(setting)) for setting in shown}
    return [f"Of an experiment with {name}, comity says: {said}." for name, each in heard.items() for said in each]


def _mean_image(shots: Pictures) -> float:
    """The median PSNR of what is known without any update."""
    mean, _ = settings.typical(breastmnist()[1])
    return float(np.median(best_psnr(shots.truth, mean[np.newaxis])[0]))

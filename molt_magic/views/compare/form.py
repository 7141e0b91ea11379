"""The form of `%route compare`: one prompt, several strategies and models, side by side. Core widgets only."""

from __future__ import annotations

import keyword
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molt_magic.errors import InputError, MoltError
from molt_magic.orchestrator import Comparison, Mode
from molt_magic.orchestrator.comparison import COLUMNS, check_names
from molt_magic.views.beside import show_beside
from molt_magic.views.compare import cards, final
from molt_magic.views.compare.cards import Row
from molt_magic.views.compare.choices import Choices
from molt_magic.views.formulas import CLOSED
from molt_magic.views.running import Runner
from molt_magic.views.tables import BORDER, Page
from molt_magic.views.text import for_html, one_line

if TYPE_CHECKING:
    import ipywidgets
    import pandas as pd
    from IPython.display import DisplayHandle

    from molt_magic.orchestrator import Orchestrator
    from molt_magic.views.compare.board import Board

FIRST = ("rule", "semantic", "arbitrage", "cascade")  # chosen at first; direct asks whatever is the default
VARIABLE = "comparison"
_PROMPT_LIMIT = 120  # characters
_ABOUT = "Compare strategies and models on one prompt. The last comparison stays in this output, and in .frame of the form."


class CompareForm:
    """A form that compares, and what it knows. Shown, it is a static output and a widget below it.

    Args:
        orchestrator: who is asked.
        prompt: what stands in the form at first.
        names: strategies and models that are chosen at first; none: the strategies that choose a model.
        options: of every question; those of `Orchestrator.aroute`.
        mode: live, dry run or recorded.
        form: how answers are shown, one of `forms.FORMATS`.
        bind: gives a value a name in the notebook.
        name: the variable that every comparison is bound to; None: only on request.

    Attributes:
        widget: the form itself.
        choices: what is compared, and how.
        runner: its Run and Cancel.

    Raises:
        UnknownName: no such strategy or model.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        prompt: str = "",
        names: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        mode: Mode = "live",
        form: str = "markdown",
        bind: Callable[[str, Any], None] | None = None,
        name: str | None = None,
    ) -> None:
        self._orchestrator = orchestrator
        self._options = dict(options or {})
        self._form = form
        self._bind = bind
        self._name = name
        self._comparison: Comparison | None = None
        self._best: set[str] = set()  # names that a person called best
        self._static: DisplayHandle | None = None
        self._columns: dict[str, tuple[ipywidgets.HTML, ipywidgets.Button]] = {}
        self.runner = Runner(self._make, form=form, begin=self._begin, draw=self._draw, end=self._end)
        self.widget = self._build(prompt, check_names(orchestrator.catalog, names or FIRST), mode)

    @property
    def frame(self) -> pd.DataFrame:
        """The last comparison, a row a name: the columns of `Comparison.frame`, a person's judgement in `quality`.

        While it runs, those under way have the status `running`.
        """
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=list(COLUMNS))

    def bundle(self) -> dict[str, str]:
        """The static output: folded away in a notebook, where the form shows the same; whole elsewhere."""
        about = dict(Page((_ABOUT,)).bundle())
        if self._comparison is None:
            return about
        whole = final.bundle(self._comparison, self._form)
        prompt = for_html(one_line(f"The last comparison: {self._comparison.prompt}", _PROMPT_LIMIT))
        folded = f'<details><summary class="{CLOSED}">{prompt}</summary>{whole["text/html"]}</details>'
        return {
            "text/html": about["text/html"] + folded,
            **{kind: f"{about[kind]}\n\n{whole[kind]}" for kind in ("text/markdown", "text/plain")},
        }

    def show(self) -> None:
        """A static output, and the form as a second one below it."""
        from IPython.display import display

        self._static = display(self.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        show_beside(self.widget, "The form")

    def close(self) -> None:
        """Take the form away; what is under way is cancelled."""
        self.widget.close()

    def _ipython_display_(self) -> None:
        self.show()

    # what it is made of

    def _build(self, prompt: str, names: Sequence[str], mode: Mode) -> ipywidgets.VBox:
        import ipywidgets as w

        wide = w.Layout(width="98%")
        row = w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 12px")
        self._prompt = w.Textarea(
            value=prompt, description="Prompt", placeholder="The question to compare", rows=4, layout=wide
        )
        self.choices = Choices(self._orchestrator.readiness(), chosen=names, mode=mode)
        self._cards = w.Box(layout=w.Layout(flex_flow="row wrap", grid_gap=cards.GAP, margin="4px 0", width="98%"))
        self._below = w.HTML(layout=wide)
        self._variable = w.Text(value=self._name or VARIABLE, description="Variable", layout=w.Layout(width="20em"))
        self._binder = w.Button(description="Bind as DataFrame", tooltip="Bind the comparison to this variable", disabled=True)
        self._bound = w.HTML()
        self._binder.on_click(self._on_bind)
        box = w.VBox(
            [
                self._prompt,
                *self.choices.widgets,
                w.Box([self.runner.run, self.runner.cancel, self.runner.line], layout=row),
                self._cards,
                self._below,
                w.Box([self._variable, self._binder, self._bound], layout=row),
            ]
        )
        box.observe(lambda change: self.runner.close() if change["new"] is None else None, names="comm")
        return box

    # what happens in it

    def _make(self, *, on_event: Callable[..., None], on_end: Callable[[str], None]) -> Comparison:
        if not self.choices.chosen:
            raise InputError("Nothing is chosen.", fix="Choose the strategies and models to compare.")
        if not self._prompt.value.strip():
            raise InputError("The prompt is empty.", fix="Write the question into the field above.")
        self._comparison = Comparison(
            self._orchestrator,
            self._prompt.value,
            self.choices.chosen,
            mode=self.choices.mode,
            on_event=on_event,
            on_end=on_end,
            **self._options,
        )
        return self._comparison

    def _begin(self, board: Board | None) -> None:
        import ipywidgets as w

        self._best = set()
        self._columns = {}
        self._comparison = self._comparison if board else None
        self._binder.disabled = True
        boxes = []
        for name in board.names if board else ():
            card = w.HTML(layout=w.Layout(flex="1 1 auto", margin="0"))
            best = w.Button(
                description=f"This one is best: {name}",
                tooltip=f"Remember that {name} answered best: arbitrage learns from it",
                layout=w.Layout(width="auto", display="none"),
            )
            best.on_click(lambda _, name=name: self._on_best(name))
            self._columns[name] = (card, best)
            sides = {f"border_{side}": BORDER for side in ("top", "right", "bottom", "left")}
            around = w.Layout(
                flex=cards.flex(len(board.names) if board else 1), min_width=cards.LEAST, padding=cards.PADDING, **sides
            )
            boxes.append(w.VBox([card, best], layout=around))
        if board:
            self._draw(board)
        self._cards.children = boxes
        self._below.value = ""
        self._bound.value = ""

    def _draw(self, board: Board) -> None:
        for name in board.changes():
            self._columns[name][0].value = board.card(name)

    def _end(self, _board: Board, comparison: Comparison) -> None:
        for name, (_, best) in self._columns.items():
            if self._logged(comparison, name):
                best.layout.display = ""
        self._binder.disabled = self._bind is None
        if self._name is not None and self._bind is not None:
            self._bind(self._name, self.frame)
            self._tell_bound(self._name)
        self._redraw()

    def _logged(self, comparison: Comparison, name: str) -> bool:
        """Whether there is a decision of this comparison that feedback could be about."""
        row = comparison.row(name)
        if not row["text"] or row["status"] not in ("ok", "best_effort"):
            return False
        return self._orchestrator.log.get(row["decision_id"]) is not None

    def _redraw(self) -> None:
        """The table, the scatter and the static output."""
        if self._comparison is None:
            return
        rows = self._rows()
        picture = final.picture(self._comparison, rows)
        table = final.table(self._comparison, rows).to_html()
        self._below.value = f'<div style="{cards.TEXT}">{table}{picture.html() if picture else ""}</div>'
        if self._static is not None:
            self._static.update(self.bundle(), raw=True)  # type: ignore[no-untyped-call]

    def _on_best(self, name: str) -> None:
        if self._comparison is None:
            return
        decision_id = self._comparison.row(name)["decision_id"]
        try:
            self._orchestrator.feedback(decision_id, 1.0)
        except MoltError as error:
            self.runner.tell_error(error)
            return
        self._best.add(name)
        self._columns[name][1].description = f"\N{CHECK MARK} Best: {name}"
        self._columns[name][1].disabled = True
        self.runner.tell(f"Noted: {name} is best (decision {decision_id}).")
        threading.Thread(target=self._redraw, name="molt-draw", daemon=True).start()  # a figure takes its time

    def _on_bind(self, _button: object) -> None:
        name = self._variable.value.strip()
        if not name.isidentifier() or keyword.iskeyword(name):
            self.runner.tell_error(InputError(f"{name!r} cannot be a variable's name.", fix="Use letters, digits and _."))
        elif self._bind is not None:
            self._bind(name, self.frame)
            self._tell_bound(name)

    def _tell_bound(self, name: str) -> None:
        self._bound.value = f'<span role="status">The DataFrame is in <code>{for_html(name)}</code>.</span>'

    # what is shown of it

    def _rows(self) -> list[Row]:
        if self._comparison is None:
            return []
        rows = final.rows_of(self._comparison)
        # as the log has it from now on
        return [{**row, "quality": 1.0} if row["strategy"] in self._best else row for row in rows]

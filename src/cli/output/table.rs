//! Tables without borders, and listings of names and values.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::printable;
use crate::protocol::State;

/// A cell of text.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new_owned(printable(text.as_ref()))
}

/// A cell of text that may be missing.
pub(crate) fn optional(text: Option<impl AsRef<str>>) -> Cell {
    text.map_or_else(|| cell("-"), cell)
}

/// A cell with a state in its colour.
pub(crate) fn state(state: State) -> Cell {
    let cell = Cell::new(state.as_str());
    match state {
        State::Running => cell.fg(Color::DarkGreen),
        State::Error => cell.fg(Color::DarkRed),
        State::Preparing | State::Initializing | State::Commanding => cell.fg(Color::DarkCyan),
        State::Stopped => cell.fg(Color::DarkYellow),
        State::Initialized | State::NotFound => cell,
    }
}

/// How a table fits a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit<'a> {
    /// The width of the terminal, in columns of it; `None` where there is none, so that scripts get values whole.
    pub(crate) width: Option<usize>,
    /// The columns of the table whose values may be cut, in the order in which they give way, each with the width
    /// that it keeps.
    pub(crate) narrowed: &'a [(usize, usize)],
    /// Whether the last columns are left out where cutting is not enough. The first one is always whole.
    pub(crate) may_drop: bool,
}

impl Fit<'_> {
    /// Nothing is cut.
    pub(crate) const WHOLE: Self = Self { width: None, narrowed: &[], may_drop: false };
}

/// The width between two columns.
const GAP: u16 = 2;

/// Rows under headings. Values are never wrapped, and cut only to fit a terminal.
pub(crate) fn columns(heading: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>, fit: Fit<'_>) -> String {
    let mut table = bare();
    let header = |heading: &[&str]| -> Vec<Cell> {
        heading.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)).collect()
    };
    match fit.width {
        None => {
            table.set_header(header(heading));
            table.add_rows(rows);
        }
        Some(width) => {
            let mut rows: Vec<Vec<Cell>> = rows.into_iter().collect();
            let kept = cut_columns(heading, &mut rows, width, fit);
            table.set_header(header(&heading[..kept]));
            table.add_rows(rows);
        }
    }
    render(&mut table)
}

/// Cuts the values of columns, then leaves out columns, until rows are no wider than `width`; returns how many
/// columns are left.
fn cut_columns(heading: &[&str], rows: &mut [Vec<Cell>], width: usize, fit: Fit<'_>) -> usize {
    let mut widths: Vec<usize> = heading.iter().map(|text| text.width()).collect();
    for row in rows.iter() {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(cell.content().width());
        }
    }
    let total =
        |widths: &[usize]| widths.iter().sum::<usize>() + usize::from(GAP) * widths.len().saturating_sub(1);
    for &(column, kept) in fit.narrowed {
        let excess = total(&widths).saturating_sub(width);
        let kept = kept.max(heading[column].width()).min(widths[column]);
        widths[column] = widths[column].saturating_sub(excess).max(kept);
    }
    while fit.may_drop && widths.len() > 1 && total(&widths) > width {
        widths.pop();
    }
    for row in rows {
        row.truncate(widths.len());
        for &(column, _) in fit.narrowed {
            if let Some(cell) = row.get_mut(column)
                && cell.content().width() > widths[column]
            {
                *cell = Cell::new_owned(cut(&cell.content(), widths[column]));
            }
        }
    }
    widths.len()
}

/// The beginning of a text, with an ellipsis, in `width` columns of a terminal.
fn cut(text: &str, width: usize) -> String {
    let mut left = width.saturating_sub(1);
    let fits = |part: &&str| {
        let needed = part.width();
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    let mut cut: String = text.graphemes(true).take_while(fits).collect();
    cut.push('…');
    cut
}

/// Names and values, one pair a line.
pub(crate) fn listing(pairs: impl IntoIterator<Item = (&'static str, Cell)>) -> String {
    let mut table = bare();
    table.add_rows(
        pairs.into_iter().map(|(name, value)| vec![Cell::new(name).add_attribute(Attribute::Bold), value]),
    );
    render(&mut table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    // The console removes colours where they are off.
    table.enforce_styling();
    table.style_text_only();
    table
}

fn render(table: &mut Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { GAP }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = vec![
            vec![cell("crm"), state(State::Running), cell("Kundenpflege für alle")],
            vec![cell("a-longer-id"), state(State::Initializing), cell("x")],
        ];
        let text = columns(&["ID", "STATE", "NAME"], rows, Fit::WHOLE);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        ID           STATE         NAME
        crm          running       Kundenpflege für alle
        a-longer-id  initializing  x
        ");
        assert!(text.contains("\u{1b}["), "states are coloured");
    }

    #[test]
    fn a_table_fits_its_terminal() {
        let rows = || {
            [
                ("crm", "A customer care of quite some length", "http://x/apps/crm/"),
                ("hr", "人事部人事部人事部", "http://x/"),
            ]
            .map(|(id, name, url)| vec![cell(id), cell(name), state(State::Running), cell(url)])
        };
        let table = |width| {
            let fit = Fit { width: Some(width), narrowed: &[(1, 8), (3, 10)], may_drop: true };
            anstream::adapter::strip_str(&columns(&["ID", "NAME", "STATE", "URL"], rows(), fit)).to_string()
        };
        insta::assert_snapshot!([table(80), table(50), table(36), table(25), table(2)].join("--\n"), @r"
        ID   NAME                                  STATE    URL
        crm  A customer care of quite some length  running  http://x/apps/crm/
        hr   人事部人事部人事部                    running  http://x/
        --
        ID   NAME              STATE    URL
        crm  A customer care…  running  http://x/apps/crm/
        hr   人事部人事部人…   running  http://x/
        --
        ID   NAME      STATE    URL
        crm  A custo…  running  http://x/ap…
        hr   人事部…   running  http://x/
        --
        ID   NAME      STATE
        crm  A custo…  running
        hr   人事部…   running
        --
        ID
        crm
        hr
        ");
        for width in 3..90 {
            for line in table(width).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_value_stays_on_its_line() {
        let text = listing([("Name", cell("two\nlines")), ("State", state(State::Error))]);
        let plain = anstream::adapter::strip_str(&text).to_string();
        insta::assert_snapshot!(plain, @r"
        Name   two\nlines
        State  error
        ");
    }
}

//! Draws the screen of `nbapps top`.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState};
use unicode_width::UnicodeWidthStr as _;

use super::keys::HELP;
use super::model::{Mode, Top};
use crate::cli::output::statistics::{self, Column};
use crate::cli::output::{application, printable};
use crate::cli::sampling::{ApplicationReport, Report};
use crate::protocol::State;

/// The lines about the host.
const HEAD: u16 = 3;
/// The lines of the details, with the frame.
const DETAILS: u16 = 9;
/// The width between two columns.
const GAP: u16 = 2;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top) {
    let details = if top.shows_details { DETAILS } else { 0 };
    let [head, table, below, foot] = Layout::vertical([
        Constraint::Length(HEAD),
        Constraint::Min(3),
        Constraint::Length(details),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(top)), head);
    draw_table(frame, top, table);
    if let Some(selected) = top.selected().filter(|_| top.shows_details) {
        let block = Block::bordered().title(Span::styled(format!(" {} ", selected.stats.id), BOLD));
        frame.render_widget(Paragraph::new(detail_lines(&selected)).block(block), below);
    }
    frame.render_widget(foot_line(top), foot);
    if top.mode == Mode::Help {
        draw_help(frame);
    }
}

fn head_lines(top: &Top) -> Vec<Line<'static>> {
    let Report { at, window_seconds, host, .. } = &top.report;
    let up = Duration::from_secs((*at - host.stats.started_at).num_seconds().unsigned_abs());
    let window = match window_seconds {
        Some(seconds) => format!("of the last {seconds:.1} s"),
        None => "since the applications are counted".to_owned(),
    };
    vec![
        Line::from(vec![
            Span::styled("nbapps top", BOLD),
            Span::raw(format!(
                "  {}  {}  up {}",
                printable(&top.address),
                application::time(*at),
                humantime::format_duration(up)
            )),
        ]),
        Line::raw(statistics::host(host)),
        Line::raw(format!(
            "{} applications beside main ({} running); p50 {}, p99 {}; rates and durations {window}",
            host.stats.applications,
            host.stats.running,
            statistics::duration(host.rates.p50_seconds),
            statistics::duration(host.rates.p99_seconds),
        )),
    ]
}

/// The heading of a column, with the direction in which the applications are sorted by it.
fn heading(top: &Top, column: Column) -> String {
    let direction = match (column == top.sort, top.is_descending) {
        (false, _) => "",
        (true, true) => "▼",
        (true, false) => "▲",
    };
    format!("{}{direction}", column.heading())
}

/// The columns that fit, with their widths. The column that the applications are sorted by is always among them.
fn columns(top: &Top, rows: &[&ApplicationReport], available: u16) -> Vec<(Column, u16)> {
    let width = |column: Column| {
        let values = rows.iter().map(|application| column.text(application).width());
        let widest = values.max().unwrap_or_default().max(heading(top, column).width());
        u16::try_from(widest).unwrap_or(u16::MAX)
    };
    let reserved = if matches!(top.sort, Column::Id) { 0 } else { width(top.sort) + GAP };
    let mut left = available.saturating_sub(reserved);
    let mut fitting = Vec::new();
    for column in Column::ALL {
        if column == top.sort && column != Column::Id {
            fitting.push((column, width(column)));
            continue;
        }
        let needed = width(column) + if fitting.is_empty() { 0 } else { GAP };
        if needed <= left || column == Column::Id {
            fitting.push((column, width(column)));
            left = left.saturating_sub(needed);
        } else {
            // A later one that is narrower would be in the wrong place.
            left = 0;
        }
    }
    fitting
}

fn state_style(state: State) -> Style {
    match state {
        State::Running => Style::new().fg(Color::Green),
        State::Error => Style::new().fg(Color::Red),
        State::Preparing | State::Initializing | State::Commanding => Style::new().fg(Color::Cyan),
        State::Stopped => Style::new().fg(Color::Yellow),
        State::Initialized | State::NotFound => Style::new(),
    }
}

fn draw_table(frame: &mut Frame<'_>, top: &mut Top, area: Rect) {
    let rows = top.rows();
    let position = top.position(&rows);
    // Only what can be on the screen is formatted: there may be thousands.
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let selected = position.unwrap_or_default();
    let offset = top.offset.clamp((selected + 1).saturating_sub(height), selected);
    let offset = offset.min(rows.len().saturating_sub(height));
    let visible = &rows[offset.min(rows.len())..(offset + height).min(rows.len())];
    let columns = columns(top, visible, area.width);
    let header =
        Row::new(columns.iter().map(|(column, _)| Cell::from(Span::styled(heading(top, *column), BOLD))));
    let lines = visible.iter().map(|application| {
        Row::new(columns.iter().map(|(column, _)| {
            let style = match column {
                Column::State => state_style(application.stats.state),
                Column::Errors if application.rates.errors_per_second > 0.0 => Style::new().fg(Color::Red),
                _ => Style::new(),
            };
            Cell::from(Span::styled(column.text(application), style))
        }))
    });
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let table = Table::new(lines, widths)
        .header(header)
        .column_spacing(GAP)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(position.map(|position| position - offset));
    frame.render_stateful_widget(table, area, &mut state);
    top.offset = offset;
}

/// What is known of an application, in sentences.
fn detail_lines(of: &ApplicationReport) -> Vec<Line<'static>> {
    let (rates, stats) = (&of.rates, &of.stats);
    let line = |name: &'static str, text: String| {
        Line::from(vec![Span::styled(format!("{name:<13}"), FAINT), Span::raw(text)])
    };
    let requests = stats.requests.clone().unwrap_or_default();
    let codes: Vec<String> =
        requests.responses_total.iter().map(|(code, count)| format!("{code}: {count}")).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    let reason = stats.reason.as_deref().map(|reason| format!(": {}", printable(reason)));
    let timed: u64 = requests.duration_buckets.iter().sum();
    let mean = (timed > 0).then(|| requests.duration_seconds_total / timed as f64);
    let (starts, took) = statistics::cold_starts(of);
    let each = (starts > 0).then(|| format!(", {} each", statistics::duration(Some(took / starts as f64))));
    let size = stats.database_size_bytes.map_or_else(|| "-".to_owned(), application::size);
    vec![
        line("State", format!("{}{}", stats.state, reason.unwrap_or_default())),
        line("Requests", format!("{}{codes} since {}", requests.requests(), application::time(stats.since))),
        line(
            "Durations",
            format!(
                "p50 {}, p99 {}; on average since then {}",
                statistics::duration(rates.p50_seconds),
                statistics::duration(rates.p99_seconds),
                statistics::duration(mean)
            ),
        ),
        line(
            "Now",
            format!(
                "{} in flight, {} queued, {} connections, {} for bodies",
                stats.in_flight,
                stats.queued,
                stats.connections,
                application::size(stats.body_bytes)
            ),
        ),
        line("Database", format!("{size}, {} connections", stats.database_connections)),
        line("Page caches", statistics::at_most(stats.max_page_cache_bytes)),
        line("Cold starts", format!("{starts}{}", each.unwrap_or_default())),
    ]
}

fn foot_line(top: &Top) -> Line<'static> {
    match (&top.mode, &top.message) {
        (Mode::Filter, _) => Line::from(vec![
            Span::styled("Filter: ", BOLD),
            Span::raw(top.filter.clone()),
            Span::styled("_", FAINT),
            Span::styled("   Enter keeps it, Esc shows all", FAINT),
        ]),
        (Mode::Confirm(change, id), _) => {
            Line::styled(format!("{} {id}? y does it, any other key does not", change.question()), BOLD)
        }
        (_, Some(message)) => Line::raw(printable(message)),
        _ if !top.filter.is_empty() => {
            Line::styled(format!("only IDs with {:?}: Esc shows all   ? help   q quit", top.filter), FAINT)
        }
        _ => Line::styled(
            "q quit  ? help  / filter  < > sort  r reverse  Enter details  s start  x stop",
            FAINT,
        ),
    }
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(keys, what)| Line::from(vec![Span::styled(format!(" {keys:<20}"), BOLD), Span::raw(*what)]))
        .collect();
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let area = frame.area().centered(Constraint::Max(70), Constraint::Max(height));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Keys ")), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::Change;
    use super::super::model::tests::top;
    use super::*;
    use crate::cli::sampling::tests::sample;
    use crate::protocol::AppId;

    fn drawn(top: &mut Top, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, top)).unwrap();
        let view = terminal.backend().to_string();
        view.lines().map(|line| line.trim_matches('"').trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn the_screen_is_as_it_was_read() {
        let mut top = top();
        let browsed = drawn(&mut top, 130, 9);
        top.select(1);
        top.shows_details = true;
        let detailed = drawn(&mut top, 80, 18);
        top.mode = Mode::Confirm(Change::Stop, AppId::parse("crm").unwrap());
        let confirmed = drawn(&mut top, 60, 8);
        top.shows_details = false;
        (top.mode, top.filter) = (Mode::Filter, "h".to_owned());
        let filtered = drawn(&mut top, 60, 8);
        top.mode = Mode::Help;
        let helped = drawn(&mut top, 80, 14);
        insta::assert_snapshot!([browsed, detailed, confirmed, filtered, helped].join("=====\n"));
    }

    #[test]
    fn every_size_of_a_terminal_is_drawn() {
        let mut top = top();
        for (width, height) in [(1, 1), (3, 2), (20, 4), (40, 200), (300, 3)] {
            for (details, mode) in [(false, Mode::Browse), (true, Mode::Help)] {
                (top.shows_details, top.mode) = (details, mode);
                drawn(&mut top, width, height);
            }
        }
        top.filter = "nosuch".to_owned();
        drawn(&mut top, 80, 24);
    }

    #[test]
    fn the_selected_row_is_on_the_screen() {
        let many: Vec<String> = (0..100).map(|number| format!("a{number:02}")).collect();
        let counts: Vec<_> = many.iter().map(|id| (id.as_str(), 0, 0)).collect();
        let report = Report::new(None, sample(12, &counts));
        let mut top = Top::new(report, "x".to_owned(), Column::Id, String::new());
        for (by, shown) in [(0, "a00"), (50, "a50"), (-1, "a49"), (isize::MAX, "a99"), (isize::MIN, "a00")] {
            top.select(by);
            let screen = drawn(&mut top, 80, 14);
            assert!(screen.contains(shown), "{by}: {screen}");
            assert_eq!(screen.lines().filter(|line| line.starts_with('a')).count(), 9, "{screen}");
        }
    }

    #[test]
    fn the_column_that_is_sorted_by_is_shown_however_narrow_the_terminal() {
        let mut top = top();
        top.sort = Column::Bodies;
        let screen = drawn(&mut top, 30, 8);
        assert!(screen.contains("BODIES▼") && screen.contains("ID"), "{screen}");
    }
}

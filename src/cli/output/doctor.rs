//! Formats what `nbapps doctor` found: by subject, with a symbol and a word for each outcome.

use clap::builder::styling::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::{Console, Format, printable, styled};
use crate::protocol::{Finding, FindingStatus};

/// The column at which messages begin to wrap, however narrow the terminal is.
const MIN_TEXT: usize = 24;

/// The symbol of an outcome, and its colour.
fn mark(status: FindingStatus) -> (&'static str, AnsiColor) {
    match status {
        FindingStatus::Ok => ("✔", AnsiColor::Green),
        FindingStatus::Skipped => ("-", AnsiColor::Cyan),
        FindingStatus::Warning => ("!", AnsiColor::Yellow),
        FindingStatus::Failed => ("✘", AnsiColor::Red),
    }
}

/// The findings for people: the problems, or with `verbose` all of them, and a count of the others.
pub(crate) fn report(findings: &[Finding], verbose: bool, console: &Console) -> String {
    let shown: Vec<&Finding> =
        findings.iter().filter(|finding| verbose || finding.status.is_problem()).collect();
    let wide = console.format == Format::Wide;
    let checks = shown.iter().map(|finding| finding.check.width()).max().unwrap_or(0);
    let mut text = String::new();
    let mut subject = "";
    for finding in shown {
        if finding.subject != subject {
            subject = &finding.subject;
            let heading = styled(Style::new().bold(), &printable(subject));
            text.push_str(&format!("{}{heading}\n", if text.is_empty() { "" } else { "\n" }));
        }
        push_finding(&mut text, finding, checks, wide, console);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &summary(findings) + "\n"
}

fn push_finding(text: &mut String, finding: &Finding, checks: usize, wide: bool, console: &Console) {
    let (symbol, color) = mark(finding.status);
    let style = Style::new().fg_color(Some(color.into()));
    let outcome = styled(style, &format!("{symbol} {:<7}", finding.status.as_str()));
    // Two blanks, a symbol, a blank, the longest word, and two blanks on each side of the check's name.
    let indent = 2 + 1 + 1 + 7 + 2 + checks + 2;
    let took = if wide { format!(" ({} ms)", finding.took_ms) } else { String::new() };
    // What a message names may have control characters.
    let message = printable(&console.addressed(&finding.message)) + &took;
    let width = console.width().map(|width| width.saturating_sub(indent).max(MIN_TEXT));
    let mut lines = wrapped(&message, width).into_iter();
    let first = lines.next().unwrap_or_default();
    text.push_str(&format!("  {outcome}  {:<checks$}  {first}\n", finding.check));
    let hint = finding.hint.iter().flat_map(|hint| {
        let width = width.map(|width| width.saturating_sub(2));
        let lines = wrapped(&printable(&console.addressed(hint)), width).into_iter().enumerate();
        lines.map(|(number, line)| format!("{}{line}", if number == 0 { "→ " } else { "  " }))
    });
    for line in lines.chain(hint) {
        text.push_str(&format!("{:indent$}{line}\n", ""));
    }
}

/// The words of a text in lines of at most `width` columns; longer words are whole.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if line.width() + 1 + word.width() <= width {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

/// How many checks ended in which way.
fn summary(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let [failed, warnings, passed, skipped] =
        [FindingStatus::Failed, FindingStatus::Warning, FindingStatus::Ok, FindingStatus::Skipped].map(count);
    let plural = |number: usize, one: &str| {
        if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
    };
    let problems = match (failed, warnings) {
        (0, 0) => "no problem was found".to_owned(),
        (failed, 0) => format!("{failed} failed"),
        (0, warnings) => plural(warnings, "warning"),
        (failed, warnings) => format!("{failed} failed, {}", plural(warnings, "warning")),
    };
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    format!("{problems}; {} passed{skipped}", plural(passed, "check"))
}

#[cfg(test)]
mod tests {
    use super::super::Color;
    use super::*;
    use crate::cli::output::Addressing;

    fn finding(subject: &str, check: &str, status: FindingStatus, message: &str, hint: &str) -> Finding {
        Finding {
            check: check.to_owned(),
            subject: subject.to_owned(),
            status,
            message: message.to_owned(),
            hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
            took_ms: 7,
        }
    }

    fn findings() -> Vec<Finding> {
        use FindingStatus::{Failed, Ok, Skipped, Warning};
        vec![
            finding("host", "disk", Ok, "100 GiB are free on the disk of /var/lib/nbapps", ""),
            finding("host", "permissions", Failed, "other users can read the key /k", "chmod 600 /k"),
            finding("host", "clock", Skipped, "timedatectl does not tell", ""),
            finding("application crm", "state", Failed, "it is in error: \u{1b}[31mgone", "nbapps start crm"),
            finding(
                "application crm",
                "domain",
                Warning,
                "crm.example.com resolves elsewhere, too",
                "remove it",
            ),
        ]
    }

    fn shown(verbose: bool, format: Format) -> String {
        let addressing = Addressing::new(Some(("--socket", b"/s".as_slice())), None);
        let console = Console::new(format, Color::Never, true).addressing(addressing);
        anstream::adapter::strip_str(&report(&findings(), verbose, &console)).to_string()
    }

    #[test]
    fn problems_are_grouped_with_what_to_do() {
        insta::assert_snapshot!(shown(false, Format::Table));
    }

    #[test]
    fn everything_is_shown_when_asked_for() {
        insta::assert_snapshot!(shown(true, Format::Wide));
    }

    #[test]
    fn lines_fit_the_terminal() {
        assert_eq!(wrapped("one two three", Some(7)), ["one two", "three"]);
        assert_eq!(wrapped("a-long-word x", Some(4)), ["a-long-word", "x"]);
        assert_eq!(wrapped("one two", None), ["one two"]);
    }

    #[test]
    fn what_passed_is_counted() {
        assert_eq!(summary(&findings()), "2 failed, 1 warning; 1 check passed, 1 skipped");
        assert_eq!(summary(&findings()[..1]), "no problem was found; 1 check passed");
        assert_eq!(summary(&[]), "no problem was found; 0 checks passed");
    }
}

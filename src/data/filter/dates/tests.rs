//! Operands of date operators and their values: the tables are the specification.

use super::*;

/// A Wednesday, late enough to be Thursday at +08:00.
const NOW: &str = "2024-05-22T18:30:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

fn read(value: &Value, zone: &str) -> Result<DateExpression, InvalidDate> {
    parse(value, timezone(zone).unwrap(), now())
}

/// Formats a date for a table: `[start,end)`, or the instant alone, without the zeros of midnight.
fn shown(date: DateExpression) -> String {
    let moment = |moment: DateTime<Utc>| {
        let text = moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        text.replace("T00:00:00Z", "").replace('Z', "")
    };
    match date {
        DateExpression::Instant(instant) => moment(instant),
        DateExpression::Range { start, start_exclusive, end, end_inclusive } => {
            let (opening, closing) =
                (if start_exclusive { '(' } else { '[' }, if end_inclusive { ']' } else { ')' });
            format!("{opening}{},{}{closing}", moment(start), moment(end))
        }
    }
}

#[track_caller]
fn check(value: Value, zone: &str, expected: &str) {
    assert_eq!(read(&value, zone).map(shown), Ok(expected.to_owned()), "{value} at {zone}");
}

#[test]
fn texts_are_periods_and_instants() {
    for (text, zone, expected) in [
        ("2023", "Z", "[2023-01-01,2024-01-01)"),
        ("2023", "+08:00", "[2022-12-31T16:00:00,2023-12-31T16:00:00)"),
        ("2023+08:00", "Z", "[2022-12-31T16:00:00,2023-12-31T16:00:00)"),
        ("2023Q1", "Z", "[2023-01-01,2023-04-01)"),
        ("2023Q4", "Z", "[2023-10-01,2024-01-01)"),
        ("2023Q2-05:30", "+08:00", "[2023-04-01T05:30:00,2023-07-01T05:30:00)"),
        ("2023-02", "Z", "[2023-02-01,2023-03-01)"),
        ("2023-12+08:00", "Z", "[2023-11-30T16:00:00,2023-12-31T16:00:00)"),
        ("2024-02-29", "Z", "[2024-02-29,2024-03-01)"),
        ("2023-01-01+08:00", "-05:00", "[2022-12-31T16:00:00,2023-01-01T16:00:00)"),
        (" 2023-01-12 ", "Z", "[2023-01-12,2023-01-13)"),
        ("2023-01-12T23", "Z", "[2023-01-12T23:00:00,2023-01-13)"),
        ("2023-01-12 12+08:00", "Z", "[2023-01-12T04:00:00,2023-01-12T05:00:00)"),
        ("2023-01-12 12:23", "Z", "[2023-01-12T12:23:00,2023-01-12T12:24:00)"),
        ("2023-01-12T12:23-05:30", "Z", "[2023-01-12T17:53:00,2023-01-12T17:54:00)"),
        ("2023-01-12T12:23:59", "+08:00", "[2023-01-12T04:23:59,2023-01-12T04:24:00)"),
        ("2023-01-12T12:23:59+08:00", "Z", "[2023-01-12T04:23:59,2023-01-12T04:24:00)"),
        ("2023-01-12 12:23:59.326", "Z", "[2023-01-12T12:23:59.326,2023-01-12T12:23:59.327)"),
        ("2023-01-12T12:23:59.326+08:00", "Z", "[2023-01-12T04:23:59.326,2023-01-12T04:23:59.327)"),
        ("2023-01-12T12:23:59.5+08:00", "Z", "2023-01-12T04:23:59.500"),
        ("2023-01-12T12:23:59.000125+00:00", "Z", "2023-01-12T12:23:59.000125"),
        ("2023-01-12T12:23:59.326Z", "+08:00", "2023-01-12T12:23:59.326"),
        ("2023-01-12T12:23:59.326Z+08:00", "Z", "2023-01-12T12:23:59.326"),
        ("2023-01-12T12:23:59.123456789Z", "Z", "2023-01-12T12:23:59.123456789"),
        ("2023-01-12T12:23:59Z", "+08:00", "2023-01-12T12:23:59"),
        ("2023-01-12T12:23Z", "+08:00", "2023-01-12T12:23:00"),
        ("2023-01-12Z", "+08:00", "2023-01-12"),
        ("0000", "Z", "[0000-01-01,0001-01-01)"),
        ("9999", "Z", "[9999-01-01,+10000-01-01)"),
    ] {
        check(json!(text), zone, expected);
    }
    check(json!(2023), "Z", "[2023-01-01,2024-01-01)");
}

#[test]
fn weeks_start_on_monday_with_a_capital_w_and_on_sunday_with_a_small_one() {
    for (text, expected) in [
        ("2023W01", "[2023-01-02,2023-01-09)"),
        ("2023W05", "[2023-01-30,2023-02-06)"),
        ("2024W16", "[2024-04-15,2024-04-22)"),
        ("2020W53", "[2020-12-28,2021-01-04)"),
        ("2025W01", "[2024-12-30,2025-01-06)"),
        ("2023W01+08:00", "[2023-01-01T16:00:00,2023-01-08T16:00:00)"),
        ("2023w01", "[2023-01-01,2023-01-08)"),
        ("2023w05", "[2023-01-29,2023-02-05)"),
        ("2024w16", "[2024-04-14,2024-04-21)"),
        ("2024w01", "[2023-12-31,2024-01-07)"),
        // 2022 began on a Saturday, the last day of its week 1.
        ("2022w53", "[2022-12-25,2023-01-01)"),
        ("2024w16+08:00", "[2024-04-13T16:00:00,2024-04-20T16:00:00)"),
    ] {
        check(json!(text), "Z", expected);
    }
}

#[test]
fn two_ends_make_a_range() {
    for (value, expected) in [
        (json!(["2023", "2024"]), "[2023-01-01,2025-01-01)"),
        (json!(["2023", "2024", null, null]), "[2023-01-01,2025-01-01)"),
        (json!(["2023", "2024", "(]"]), "[2024-01-01,2025-01-01)"),
        (json!(["2023", "2024", "[)"]), "[2023-01-01,2024-01-01)"),
        (json!(["2023", "2026", "()"]), "[2024-01-01,2026-01-01)"),
        (json!(["2023", "2024", "[)", "+08:00"]), "[2022-12-31T16:00:00,2023-12-31T16:00:00)"),
        (
            json!(["2023-01-01-05:00", "2023-01-02", "[]", "+08:00"]),
            "[2023-01-01T05:00:00,2023-01-02T16:00:00)",
        ),
        (json!([{"type": "yesterday"}, {"type": "today"}]), "[2024-05-21,2024-05-23)"),
        (json!([2023, 2024, "[)"]), "[2023-01-01,2024-01-01)"),
        (json!("[2023,2024]"), "[2023-01-01,2025-01-01)"),
        (json!("(2024-01-01,2024-02-01]"), "[2024-01-02,2024-02-02)"),
        (json!("[2023-01-12, 2023-09-12)"), "[2023-01-12,2023-09-12)"),
        (json!("(2023,2026)+08:00"), "[2023-12-31T16:00:00,2025-12-31T16:00:00)"),
        (json!("[2023-01-01T01:00:00.500Z,2023-01-02T00:00:00Z]"), "[2023-01-01T01:00:00.500,2023-01-02]"),
        (json!("(2023-01-01T01:00:00Z,2023-01-02T00:00:00Z)+08:00"), "(2023-01-01T01:00:00,2023-01-02)"),
        (json!("(2023-01-01T01:00:00Z,2023-01-02]"), "(2023-01-01T01:00:00,2023-01-03)"),
        (json!(["2024", "2023", "[)"]), "[2024-01-01,2023-01-01)"),
    ] {
        check(value, "Z", expected);
    }
}

#[test]
fn relative_dates_are_seen_from_now_in_the_zone() {
    for (value, zone, expected) in [
        (json!({"type": "today"}), "Z", "[2024-05-22,2024-05-23)"),
        (json!({"type": "today"}), "+08:00", "[2024-05-22T16:00:00,2024-05-23T16:00:00)"),
        (json!({"type": "today", "timezone": "+08:00"}), "Z", "[2024-05-22T16:00:00,2024-05-23T16:00:00)"),
        (json!({"type": "yesterday"}), "Z", "[2024-05-21,2024-05-22)"),
        (json!({"type": "tomorrow"}), "Z", "[2024-05-23,2024-05-24)"),
        (json!({"type": "thisWeek"}), "Z", "[2024-05-20,2024-05-27)"),
        (json!({"type": "lastWeek"}), "Z", "[2024-05-13,2024-05-20)"),
        (json!({"type": "nextWeek"}), "Z", "[2024-05-27,2024-06-03)"),
        (json!({"type": "thisIsoWeek"}), "Z", "[2024-05-20,2024-05-27)"),
        (json!({"type": "lastMonth"}), "Z", "[2024-04-01,2024-05-01)"),
        (json!({"type": "thisQuarter"}), "Z", "[2024-04-01,2024-07-01)"),
        (json!({"type": "lastQuarter"}), "-05:00", "[2024-01-01T05:00:00,2024-04-01T05:00:00)"),
        (json!({"type": "nextYear"}), "Z", "[2025-01-01,2026-01-01)"),
        (json!({"type": "last7Days"}), "Z", "[2024-05-16,2024-05-23)"),
        (json!({"type": "next7Days"}), "Z", "[2024-05-23,2024-05-30)"),
        (json!({"type": "past"}), "Z", "[2024-05-21,2024-05-22)"),
        (json!({"type": "past", "number": 3, "unit": "day"}), "Z", "[2024-05-19,2024-05-22)"),
        (json!({"type": "past", "number": 2, "unit": "week"}), "Z", "[2024-05-06,2024-05-20)"),
        (json!({"type": "past", "number": 6, "unit": "month"}), "Z", "[2023-11-01,2024-05-01)"),
        (json!({"type": "next", "number": "2", "unit": "month"}), "Z", "[2024-06-01,2024-08-01)"),
        (json!({"type": "next", "number": 3, "unit": "quarters"}), "Z", "[2024-07-01,2025-04-01)"),
        (json!({"type": "next", "number": 1, "unit": "year"}), "Z", "[2025-01-01,2026-01-01)"),
        (json!({"type": "next", "number": null, "unit": null}), "Z", "[2024-05-23,2024-05-24)"),
    ] {
        check(value, zone, expected);
    }
}

#[test]
fn invalid_dates_are_refused_with_a_sentence() {
    let far = json!({"type": "past", "number": 9_000_000_000_000_000_000_i64, "unit": "year"});
    for (value, expected) in [
        (json!("2023-02-31"), "there is no day 2023-02-31"),
        (json!("2023-02-29T10:00:00Z"), "there is no day 2023-02-29"),
        (json!("2023-00"), "there is no month 2023-00"),
        (json!("2023-13+08:00"), "there is no month 2023-13"),
        (json!("2023Q0"), "there is no quarter 2023Q0"),
        (json!("2023Q5"), "there is no quarter 2023Q5"),
        (json!("2023W00"), "there is no week 2023W00"),
        (json!("2023W53"), "there is no week 2023W53"),
        (json!("2023W60"), "there is no week 2023W60"),
        (json!("2023w00"), "there is no week 2023w00"),
        (json!("2023w53"), "there is no week 2023w53"),
        (json!("2023-01-01 24"), "there is no time 24"),
        (json!("2023-01-01T10:60"), "there is no time 10:60"),
        (json!("2023-01-01T10:00:60Z"), "there is no time 10:00:60"),
        (json!("2023+24:00"), "+24:00 is not a time zone; write one like +08:00 or Z"),
        (json!(["2023", "2024", "[)", "Asia/Shanghai"]), "Asia/Shanghai is not a time zone"),
        (json!({"type": "today", "timezone": 8}), "8 is not a time zone"),
        (json!(["2023", "2024", "[["]), "[[ does not say which ends belong to a range"),
        (json!(["2023", "2024", 1]), "1 does not say which ends belong to a range"),
        (json!(["2023"]), "not [\"2023\"]"),
        (json!(["2023", null]), "not null"),
        (json!(["1", "2", "[]", "Z", "Z"]), "a date is a text, a list of two, or an object with a type"),
        (json!([["2023", "2024"], "2025"]), "not [\"2023\",\"2024\"]"),
        (json!("[[2023,2024],2025]"), "is not a date"),
        (json!("[2023,2024,2025]"), "\"2024,2025\" is not a date"),
        (json!("[2023,2024"), "\"[2023,2024\" is not a date"),
        (json!("["), "\"[\" is not a date"),
        (json!(null), "not null"),
        (json!(true), "not true"),
        (json!({}), "not {}"),
        (json!(1_700_000_000), "\"1700000000\" is not a date; write one like 2023, "),
        (json!(""), "\"\" is not a date"),
        (json!("+08:00"), "\"+08:00\" is not a date"),
        (json!("yesterday"), "\"yesterday\" is not a date"),
        (json!("2023-1-1"), "\"2023-1-1\" is not a date"),
        (json!("2023-01-01T"), "is not a date"),
        (json!("2023-01-01T10:00:00."), "is not a date"),
        (json!("2023-01-01T10:00:00.1234567890Z"), "is not a date"),
        (json!("2023Q2Z"), "\"2023Q2Z\" is not a date"),
        (json!("２０２３-01-01"), "is not a date"),
        (json!("日期日期日期"), "is not a date"),
        (json!({"type": "someday"}), "someday is not a relative date"),
        (json!({"type": "past", "unit": "hour"}), "hour is not a unit"),
        (json!({"type": "past", "unit": 1}), "1 is not a unit"),
        (json!({"type": "past", "number": 0}), "0 cannot be counted"),
        (json!({"type": "next", "number": -1}), "-1 cannot be counted"),
        (json!({"type": "next", "number": 1.5}), "1.5 cannot be counted"),
        (json!({"type": "next", "number": "many"}), "\"many\" cannot be counted"),
        (json!({"type": "next", "number": 8000, "unit": "year"}), "not in the years from 0 to 9999"),
        (far, "not in the years from 0 to 9999"),
    ] {
        let sentence = read(&value, "Z").map(shown).map_err(|error| error.to_string()).unwrap_err();
        assert!(sentence.contains(expected), "{value}: {sentence}");
    }
}

#[test]
fn zones_are_offsets() {
    for (text, minutes) in [
        ("+08:00", Some(480)),
        ("-05:30", Some(-330)),
        ("+00:00", Some(0)),
        ("-00:00", Some(0)),
        ("+23:59", Some(1439)),
        ("Z", Some(0)),
        ("UTC", Some(0)),
        ("", None),
        ("08:00", None),
        ("+8:00", None),
        ("+0800", None),
        ("+24:00", None),
        ("+08:60", None),
        (" +08:00", None),
        ("Asia/Shanghai", None),
    ] {
        assert_eq!(timezone(text).map(|zone| zone.local_minus_utc() / 60), minutes, "{text}");
    }
}

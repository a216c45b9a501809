//! What servers reach that have less around the handler than ours, or nothing ([`crate::floor`]): what a target leaves.

use std::fmt::{self, Write as _};

use crate::{
    report::{
        rows::Unmet,
        unit::{three_digits, with_interval},
    },
    results::{
        FLOOR, FLOOR_WITH_HANDLER, GO, LIBRARIES, LIBRARIES_WITH_HANDLER, OURS, Results, interval, median,
    },
};

/// What a new connection takes whatever is decided, and with nothing around the handler but libraries.
pub(super) fn new_connection(results: &Results, row: &Unmet) -> Option<String> {
    let healthz = results.figure("https.healthz.new.cpu", OURS)?;
    let times = three_digits(row.peer? / healthz);
    let mut text =
        format!(" GET /healthz alone takes {} µs, which would be {times} times", three_digits(healthz));
    let of = |whose| Reached::of(results, row, whose);
    if let Some((nothing, deciding)) = of(LIBRARIES).zip(of(LIBRARIES_WITH_HANDLER)) {
        let _ = write!(
            text,
            "; with hyper and tokio alone the ratio would be {nothing}, and with our handler in them {deciding}"
        );
        if is_out_of_reach(row, [&deciding]) {
            text.push_str(", so the target is out of their reach");
        }
    }
    Some(text + ".")
}

/// What is left to win around the handler.
pub(super) fn reached(results: &Results, row: &Unmet) -> Option<String> {
    let of = |whose| Reached::of(results, row, whose);
    let (nothing, deciding) = (of(FLOOR)?, of(FLOOR_WITH_HANDLER)?);
    let mut text = format!(
        " With a server that decides nothing the ratio would be {nothing}, and with our handler in it and nothing else \
         {deciding}"
    );
    if let Some((nothing, with_libraries)) = of(LIBRARIES).zip(of(LIBRARIES_WITH_HANDLER)) {
        let _ = write!(text, "; with hyper and tokio alone {nothing} and {with_libraries}");
        if is_out_of_reach(row, [&deciding, &with_libraries]) {
            text.push_str(". So the target is out of reach with this TLS and this handler");
        } else if is_out_of_reach(row, [&with_libraries]) {
            text.push_str(", so the target is out of their reach");
        }
    }
    Some(text + ".")
}

/// What a thread for each busy connection buys. None when it is within noise.
pub(super) fn slowest(results: &Results, row: &Unmet) -> Option<String> {
    let pairs = results.pairs(&format!("https.p99.{}", row.size), OURS, LIBRARIES_WITH_HANDLER)?;
    let ratios: Vec<f64> = pairs.into_iter().map(|(ours, theirs)| theirs / ours).collect();
    let (later, between) = (median(&ratios)?, interval(&ratios).filter(|(from, _)| *from > 1.0)?);
    Some(format!(
        " For hyper and tokio with our handler p99 is {} times ours, which has a thread for each busy connection.",
        with_interval(later, Some(between))
    ))
}

/// What the target leaves for everything but TLS, the operating system and the handler.
pub(super) fn left(results: &Results, row: &Unmet) -> Option<String> {
    let figure = |whose| results.figure(&row.figure(), whose);
    let target = row.least?;
    let most = row.peer? / target;
    let of_medians = most - figure(FLOOR_WITH_HANDLER)?;
    let pairs = results.pairs(&row.figure(), FLOOR_WITH_HANDLER, GO).unwrap_or_default();
    let lefts: Vec<f64> = pairs.into_iter().map(|(floor, peer)| peer / target - floor).collect();
    let left = median(&lefts).unwrap_or(of_medians);
    let left = match interval(&lefts) {
        Some((from, to)) if from <= 0.0 && to >= 0.0 => "within noise what".to_owned(),
        _ => format!("{} {} than", three_digits(left.abs()), if left < 0.0 { "less" } else { "more" }),
    };
    let libraries = more(results, row, LIBRARIES, FLOOR).map_or_else(String::new, |more| {
        format!(
            " Where nothing is decided, hyper and tokio take {more} µs more than threads that wait in `read`."
        )
    });
    Some(format!(
        " The target is {} µs, {left} threads that wait in `read` take with our handler and nothing else.{libraries}",
        three_digits(most)
    ))
}

/// Whether the intervals of ours and of these servers end before the target: a median below it may be noise.
fn is_out_of_reach<const N: usize>(row: &Unmet, servers: [&Reached; N]) -> bool {
    let mut intervals = servers.iter().map(|server| server.between).chain([row.between]);
    intervals.all(|between| between.zip(row.least).is_some_and(|((_, to), least)| to < least))
}

/// How many times better than the peer one of the floors is.
struct Reached {
    ratio: f64,
    /// Between which it lies, when the peer was measured in the same rounds.
    between: Option<(f64, f64)>,
}

impl Reached {
    fn of(results: &Results, row: &Unmet, whose: &str) -> Option<Self> {
        let id = row.figure();
        let of_medians = row.unit.times(results.figure(&id, whose)?, row.peer?);
        let pairs = results.pairs(&id, whose, GO).unwrap_or_default();
        let ratios: Vec<f64> = pairs.into_iter().map(|(figure, peer)| row.unit.times(figure, peer)).collect();
        Some(Self { ratio: median(&ratios).unwrap_or(of_medians), between: interval(&ratios) })
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_interval(self.ratio, self.between))
    }
}

/// What the handler takes by itself and among the libraries.
pub(super) fn handler(results: &Results, row: &Unmet) -> Option<String> {
    let alone = three_digits(results.figure(&format!("handler.process.{}", row.size), OURS)?);
    let among = more(results, row, LIBRARIES_WITH_HANDLER, LIBRARIES).map_or_else(String::new, |more| {
        format!(", and between hyper and tokio it takes {more} µs more than nothing does")
    });
    Some(format!(" Our handler takes {alone} µs in process{among}."))
}

/// How much more one server takes than another, by rounds where both were measured in the same ones. None when it is less, or may
/// be: noise may be larger.
fn more(results: &Results, row: &Unmet, server: &str, than: &str) -> Option<String> {
    let id = row.figure();
    let of_medians = results.figure(&id, server)? - results.figure(&id, than)?;
    let pairs = results.pairs(&id, server, than).unwrap_or_default();
    let differences: Vec<f64> = pairs.into_iter().map(|(server, than)| server - than).collect();
    let (more, between) = (median(&differences).unwrap_or(of_medians), interval(&differences));
    let lower_end = between.map_or(more, |(from, _)| from);
    (lower_end > 0.0).then(|| with_interval(more, between))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{results, row};
    use super::*;

    /// Six rounds, of which an interval is the least and the most.
    fn rounds(
        id: &'static str,
        whose: &'static str,
        samples: &[f64],
    ) -> Vec<(&'static str, &'static str, f64)> {
        samples.iter().cycle().take(6).map(|sample| (id, whose, *sample)).collect()
    }

    #[test]
    fn out_of_reach_is_what_lies_before_the_target() {
        let id = "https.new.cpu.4kb";
        let new = |ours: (f64, f64), theirs: [f64; 2]| {
            let figures = [
                vec![("https.healthz.new.cpu", OURS, 20.0), (id, LIBRARIES, 10.0)],
                rounds(id, GO, &theirs),
                rounds(id, LIBRARIES_WITH_HANDLER, &[20.0, 22.0]),
            ];
            new_connection(
                &results(&figures.concat()),
                &Unmet { between: Some(ours), ..row("https.new.cpu", "4kb", 40.0, Some(210.0)) },
            )
        };
        let said = |between, claim| {
            Some(format!(
                " GET /healthz alone takes 20.0 µs, which would be 10.5 times; with hyper and tokio alone the ratio would be \
                 21.0, and with our handler in them 10.0 ({between}){claim}."
            ))
        };
        let claim = ", so the target is out of their reach";
        assert_eq!(new((6.0, 9.0), [200.0, 220.0]), said("10.0 to 10.0", claim));
        assert_eq!(new((6.0, 11.0), [200.0, 220.0]), said("10.0 to 10.0", ""), "ours may reach it");
        assert_eq!(new((6.0, 9.0), [180.0, 242.0]), said("9.00 to 11.0", ""), "they may reach it");
    }

    #[test]
    fn what_the_floors_reach_is_said_of_all_or_of_the_libraries() {
        let id = "https.rate.4kb";
        let rates = |floor: [f64; 2], libraries: [f64; 2]| {
            let figures = [
                vec![(id, FLOOR, 3000.0), (id, LIBRARIES, 2000.0)],
                rounds(id, GO, &[100.0]),
                rounds(id, FLOOR_WITH_HANDLER, &floor),
                rounds(id, LIBRARIES_WITH_HANDLER, &libraries),
            ];
            reached(&results(&figures.concat()), &row("https.rate", "4kb", 400.0, Some(100.0)))
        };
        let said = |floor, libraries, claim| {
            Some(format!(
                " With a server that decides nothing the ratio would be 30.0, and with our handler in it and nothing else \
                 {floor}; with hyper and tokio alone 20.0 and {libraries}{claim}."
            ))
        };
        assert_eq!(
            rates([800.0, 1000.0], [700.0, 900.0]),
            said(
                "9.00 (8.00 to 10.0)",
                "8.00 (7.00 to 9.00)",
                ". So the target is out of reach with this TLS and this handler"
            )
        );
        assert_eq!(
            rates([800.0, 1200.0], [700.0, 900.0]),
            said("10.0 (8.00 to 12.0)", "8.00 (7.00 to 9.00)", ", so the target is out of their reach")
        );
        assert_eq!(
            rates([800.0, 1000.0], [700.0, 1100.0]),
            said("9.00 (8.00 to 10.0)", "9.00 (7.00 to 11.0)", ""),
            "the libraries may reach it"
        );
    }

    #[test]
    fn rounds_are_compared_with_the_same_ones_of_the_peer() {
        let shown = |figures: &[f64], peers: &[f64]| {
            let all: Vec<(&str, &str, f64)> =
                (figures.iter().map(|figure| ("https.cpu.4kb", FLOOR, *figure)))
                    .chain(peers.iter().map(|peer| ("https.cpu.4kb", GO, *peer)))
                    .collect();
            let row = row("https.cpu", "4kb", 40.0, Some(200.0));
            Reached::of(&results(&all), &row, FLOOR).unwrap().to_string()
        };
        assert_eq!(
            [
                shown(&[20.0, 25.0, 22.0].repeat(2), &[190.0, 200.0, 220.0].repeat(2)),
                shown(&[20.0, 25.0, 22.0].repeat(2), &[200.0, 200.0]),
                shown(&[20.0], &[200.0]),
            ],
            // The median of 9.5, 8 and 10; then of the peer's figures, of which there are fewer.
            ["9.50 (8.00 to 10.0)", "9.09", "10.0"]
        );
    }

    #[test]
    fn what_the_target_leaves_may_be_less_than_nothing() {
        let left = |floor, libraries| {
            let results = results(&[
                ("https.cpu.4kb", FLOOR_WITH_HANDLER, 21.0),
                ("https.cpu.4kb", FLOOR, floor),
                ("https.cpu.4kb", LIBRARIES, libraries),
            ]);
            left(&results, &row("https.cpu", "4kb", 40.0, Some(220.0))).unwrap()
        };
        let said = " The target is 20.0 µs, 1.00 less than threads that wait in `read` take with our handler and nothing else.";
        assert_eq!(left(12.0, 11.0), said);
        assert_eq!(
            left(12.0, 16.0),
            format!(
                "{said} Where nothing is decided, hyper and tokio take 4.00 µs more than threads that wait in `read`."
            )
        );
    }

    #[test]
    fn what_the_target_leaves_is_that_of_the_same_rounds() {
        let left = |peers: [f64; 3]| {
            let figures = [
                rounds("https.cpu.4kb", FLOOR_WITH_HANDLER, &[16.0, 18.0, 30.0]),
                rounds("https.cpu.4kb", GO, &peers),
            ];
            left(&results(&figures.concat()), &row("https.cpu", "4kb", 40.0, Some(220.0))).unwrap()
        };
        let said = |left| {
            format!(
                " The target is 20.0 µs, {left} threads that wait in `read` take with our handler and nothing else."
            )
        };
        // 4, 7 and 1; the difference of the medians would be 2.
        assert_eq!(left([220.0, 275.0, 341.0]), said("4.00 more than"));
        // 4, 7 and -11.
        assert_eq!(left([220.0, 275.0, 209.0]), said("within noise what"));
    }

    #[test]
    fn the_handler_alone_is_named_where_the_rest_is_noise() {
        let figures = |with_it| {
            results(&[
                ("handler.process.4kb", OURS, 8.0),
                ("https.cpu.4kb", LIBRARIES, 16.0),
                ("https.cpu.4kb", LIBRARIES_WITH_HANDLER, with_it),
            ])
        };
        let handler = |with_it| handler(&figures(with_it), &row("https.cpu", "4kb", 40.0, Some(220.0)));
        assert_eq!(handler(15.0).as_deref(), Some(" Our handler takes 8.00 µs in process."));
        assert_eq!(
            handler(25.0).as_deref(),
            Some(
                " Our handler takes 8.00 µs in process, and between hyper and tokio it takes 9.00 µs more than nothing does."
            )
        );
    }

    #[test]
    fn differences_are_those_of_the_same_rounds() {
        let id = "https.cpu.4kb";
        let more = |than: &[f64]| {
            let figures = [rounds(id, LIBRARIES, &[16.0, 18.0, 30.0]), rounds(id, FLOOR, than)].concat();
            more(&results(&figures), &row("https.cpu", "4kb", 40.0, Some(220.0)), LIBRARIES, FLOOR)
        };
        // The difference of the medians would be 5.
        assert_eq!(more(&[12.0, 17.0, 13.0]).as_deref(), Some("4.00 (1.00 to 17.0)"));
        assert_eq!(more(&[12.0, 20.0, 13.0]), None, "it may be less");
    }

    #[test]
    fn the_slowest_are_named_where_they_are_not_noise() {
        let id = "https.p99.4kb";
        let slowest = |theirs: [f64; 2]| {
            let figures =
                [rounds(id, OURS, &[500.0, 400.0]), rounds(id, LIBRARIES_WITH_HANDLER, &theirs)].concat();
            slowest(&results(&figures), &row("https.cpu", "4kb", 40.0, Some(220.0)))
        };
        assert_eq!(
            slowest([1000.0, 1200.0]).as_deref(),
            Some(
                " For hyper and tokio with our handler p99 is 2.50 (2.00 to 3.00) times ours, which has a thread for each \
                 busy connection."
            )
        );
        assert_eq!(slowest([500.0, 1200.0]), None);
    }
}

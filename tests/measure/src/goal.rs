//! What is to be reached, beside what was measured.

use crate::table::rows;

/// A goal and whether it is met.
pub struct Goal {
    what: String,
    goal: String,
    figure: String,
    met: bool,
}

impl Goal {
    /// The figure, shown with so many digits behind the point, is to be the bound or less.
    pub fn at_most(what: impl Into<String>, bound: f64, figure: f64, unit: &str, digits: usize) -> Self {
        Self::of(what, '≤', bound, figure, unit, digits, figure <= bound)
    }

    /// The figure is to be the bound or more.
    pub fn at_least(what: impl Into<String>, bound: f64, figure: f64, unit: &str, digits: usize) -> Self {
        Self::of(what, '≥', bound, figure, unit, digits, figure >= bound)
    }

    fn of(
        what: impl Into<String>,
        relation: char,
        bound: f64,
        figure: f64,
        unit: &str,
        digits: usize,
        met: bool,
    ) -> Self {
        let with_unit = |value: String| format!("{value} {unit}").trim_end().to_owned();
        Self {
            what: what.into(),
            goal: with_unit(format!("{relation} {bound}")),
            figure: with_unit(format!("{figure:.digits$}")),
            met,
        }
    }
}

/// How many are met, and a table of all.
pub fn table(goals: &[Goal]) -> String {
    let met = goals.iter().filter(|goal| goal.met).count();
    let rows = rows(goals.iter().map(|goal| {
        let met = if goal.met { "yes" } else { "**no**" };
        [&goal.what, &goal.goal, &goal.figure, met].map(ToOwned::to_owned)
    }));
    format!(
        "{met} of {} are met.\n\n| what | goal | figure | met |\n|---|---|---|---|\n{rows}",
        goals.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_within_what_it_bounds() {
        let cases = [
            (
                Goal::at_most("a", 2.0, 2.0, "s", 1),
                "| a | ≤ 2 s | 2.0 s | yes |",
            ),
            (
                Goal::at_most("a", 0.5, 0.6, "s", 2),
                "| a | ≤ 0.5 s | 0.60 s | **no** |",
            ),
            (Goal::at_least("a", 0.5, 0.5, "", 2), "| a | ≥ 0.5 | 0.50 | yes |"),
            (
                Goal::at_least("a", 0.5, 0.4, "", 2),
                "| a | ≥ 0.5 | 0.40 | **no** |",
            ),
            (
                Goal::at_most("a", 0.5, f64::NAN, "", 2),
                "| a | ≤ 0.5 | NaN | **no** |",
            ),
        ];
        for (goal, row) in cases {
            let table = table(&[goal]);
            assert!(table.ends_with(&format!("{row}\n")), "{table}");
        }
    }
}

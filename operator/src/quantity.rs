//! Kubernetes' quantities, by their value (apimachinery/pkg/api/resource).

/// In billionths, the smallest unit that the API server keeps: what is less of one counts as a whole.
pub fn billionths(text: &str) -> Option<i128> {
    let digits = |one: char| one.is_ascii_digit() || one == '.';
    let text = text.strip_prefix('+').unwrap_or(text);
    let (number, suffix) = text.split_at(text.find(|one| !digits(one)).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit = unit(suffix)?;
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 9 - i32::try_from(fraction.len()).ok()?;
    let value = times(
        mantissa,
        unit.twos.checked_add(shift)?,
        unit.fives.checked_add(shift)?,
    )?;
    Some(if unit.binary { value.min(LARGEST) } else { value })
}

/// In thousandths, the smallest unit in which it keeps a container's resources and the size of a claim.
pub fn thousandths(text: &str) -> Option<i128> {
    Some(divided(billionths(text)?, 1_000_000))
}

/// The most that is kept of one with a binary suffix.
const LARGEST: i128 = i64::MAX as i128 * 1_000_000_000;

/// What a suffix stands for: a product of powers of two and five.
struct Unit {
    twos: i32,
    fives: i32,
    binary: bool,
}

fn unit(suffix: &str) -> Option<Unit> {
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let place = |list: &[&str]| {
        list.iter()
            .position(|one| *one == suffix)
            .and_then(|place| i32::try_from(place).ok())
    };
    let ten_to = |power| Unit {
        twos: power,
        fives: power,
        binary: false,
    };
    if let Some(place) = place(&BINARY) {
        return Some(Unit {
            twos: 10 * (place + 1),
            fives: 0,
            binary: true,
        });
    }
    match place(&DECIMAL) {
        Some(place) => Some(ten_to(3 * (place - 3))),
        None => Some(ten_to(suffix.strip_prefix(['e', 'E'])?.parse().ok()?)),
    }
}

/// A number times powers of two and five, rounded up; none where it is too large.
fn times(number: i128, twos: i32, fives: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    let product = |twos: i32, fives: i32| {
        let power = |base: i128, exponent: i32| base.checked_pow(exponent.max(0).unsigned_abs());
        power(2, twos)?.checked_mul(power(5, fives)?)
    };
    let numerator = product(twos, fives)?.checked_mul(number)?;
    // Less than one of what can't even be counted is less than one.
    Some(product(-twos, -fives).map_or(1, |divisor| divided(numerator, divisor)))
}

/// Rounded up.
const fn divided(number: i128, divisor: i128) -> i128 {
    number / divisor + (number % divisor > 0) as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_by_value() {
        const ONE: i128 = 1_000_000_000;
        const GI: i128 = ONE << 30;
        let cases = [
            ("1", Some(ONE)),
            ("1000m", Some(ONE)),
            ("1000000u", Some(ONE)),
            ("1000000000n", Some(ONE)),
            ("+1", Some(ONE)),
            ("1.", Some(ONE)),
            (".5", Some(ONE / 2)),
            ("0.5m", Some(ONE / 2000)),
            ("1.5Gi", Some(GI / 2 * 3)),
            ("1536Mi", Some(GI / 2 * 3)),
            ("1.3333Gi", Some(1_431_619_973_939_200_000)),
            ("1.33330000000000000000000000Gi", Some(1_431_619_973_939_200_000)),
            ("0.0009765625Ki", Some(ONE)),
            ("1k", Some(1000 * ONE)),
            ("1e3", Some(1000 * ONE)),
            ("1.5e+9", Some(1_500_000_000 * ONE)),
            ("1500E-3", Some(ONE / 2 * 3)),
            ("1E", Some(10_i128.pow(18) * ONE)),
            ("0.1n", Some(1)),
            ("1.0000000001", Some(ONE + 1)),
            ("1e-100", Some(1)),
            ("0e-100", Some(0)),
            ("0", Some(0)),
            ("7Ei", Some(7 * (ONE << 60))),
            ("16Ei", Some(LARGEST)),
            ("9223372036854775807", Some(LARGEST)),
            ("16E", Some(16 * 10_i128.pow(18) * ONE)),
            ("1e100", None),
            ("", None),
            (".", None),
            ("Gi", None),
            ("1x", None),
            ("1.2.3", None),
            ("1e", None),
            ("1e9999999999", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(billionths(text), expected, "{text}");
        }
    }

    #[test]
    fn resources_are_read_in_thousandths() {
        let cases = [
            ("0.5m", 1),
            ("1m", 1),
            ("1.0001m", 2),
            ("1", 1000),
            ("1.3333Gi", 1_431_619_973_940),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(text), Some(expected), "{text}");
        }
    }
}

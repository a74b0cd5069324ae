//! Exact decimal numbers of any length, and what SQL gets of them: the collation DECIMAL and the functions of SQLite's decimal extension
//! (`decimal_add`, `decimal_sub`, `decimal_mul`, `decimal_cmp`, `decimal_sum`). Unlike there, a text that is no number is an error.

mod sql;

use std::cmp::Ordering;

pub use sql::register;

/// Powers of ten beyond this are no numbers here: their digits are written out.
const EXPONENT_MAX: i64 = 10_000;

/// A number: its digits, the most significant first, of which the last `fraction` stand behind the point.
#[derive(Clone, Debug)]
pub struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    fraction: usize,
}

impl Decimal {
    /// Nothing at all.
    pub fn zero() -> Decimal {
        Decimal {
            is_negative: false,
            digits: vec![0],
            fraction: 0,
        }
    }

    /// Digits with a sign, a point and an exponent, each where wanted, and space around them.
    pub fn parse(text: &str) -> Option<Decimal> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let (is_negative, text) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut digits: Vec<u8> = Vec::with_capacity(number.len());
        for byte in whole.bytes().chain(fraction.bytes()) {
            digits.push(char::from(byte).to_digit(10)? as u8);
        }
        if digits.is_empty() || exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let mut fraction = fraction.len() as i64 - exponent;
        if fraction < 0 {
            digits.extend(std::iter::repeat_n(0, fraction.unsigned_abs() as usize));
            fraction = 0;
        }
        Some(Decimal::new(is_negative, digits, fraction as usize))
    }

    /// The number that a float is, to its last binary digit; `None` where it is none.
    pub fn from_real(real: f64) -> Option<Decimal> {
        // A float has at most 1074 digits behind the point, and Rust writes all of them that are asked for.
        real.is_finite()
            .then(|| Decimal::parse(&format!("{real:.1074}")))?
    }

    /// The number whose digits are those of `unscaled`, `scale` of them behind the point.
    pub fn from_unscaled(unscaled: i128, scale: u8) -> Decimal {
        let digits = unscaled.unsigned_abs().to_string();
        let digits = digits.bytes().map(|byte| byte - b'0').collect();
        Decimal::new(unscaled < 0, digits, scale.into())
    }

    /// The inverse of [`Decimal::from_unscaled`]; `None` where a digit would be lost, or there are more than `precision`.
    pub fn unscaled(&self, precision: u8, scale: u8) -> Option<i128> {
        let scale = usize::from(scale);
        let mut digits = self.digits.clone();
        if self.fraction > scale {
            let lost = digits.split_off(digits.len() - (self.fraction - scale));
            if lost.iter().any(|digit| *digit != 0) {
                return None;
            }
        } else {
            digits.extend(std::iter::repeat_n(0, scale - self.fraction));
        }
        let first = digits
            .iter()
            .position(|digit| *digit != 0)
            .unwrap_or(digits.len());
        let digits = &digits[first..];
        if digits.len() > precision.into() {
            return None;
        }
        let magnitude = digits.iter().try_fold(0i128, |sum, digit| {
            sum.checked_mul(10)?.checked_add((*digit).into())
        })?;
        Some(if self.is_negative {
            -magnitude
        } else {
            magnitude
        })
    }

    /// The sum.
    pub fn add(&self, other: &Decimal) -> Decimal {
        let (a, b, fraction) = aligned(self, other);
        if self.is_negative == other.is_negative {
            return Decimal::new(self.is_negative, plus(&a, &b), fraction);
        }
        // The greater magnitude keeps its sign.
        if a >= b {
            Decimal::new(self.is_negative, minus(&a, &b), fraction)
        } else {
            Decimal::new(other.is_negative, minus(&b, &a), fraction)
        }
    }

    /// The number with the other sign.
    pub fn negated(&self) -> Decimal {
        Decimal::new(!self.is_negative, self.digits.clone(), self.fraction)
    }

    /// The product. Zeros at its end go, as long as it has as many digits behind the point as the factor with fewer.
    pub fn multiply(&self, other: &Decimal) -> Decimal {
        let mut product = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, a) in self.digits.iter().enumerate().rev() {
            let mut carry = 0;
            for (j, b) in other.digits.iter().enumerate().rev() {
                let sum = product[i + j + 1] + u32::from(*a) * u32::from(*b) + carry;
                product[i + j + 1] = sum % 10;
                carry = sum / 10;
            }
            product[i] += carry;
        }
        let mut digits: Vec<u8> = product.into_iter().map(|digit| digit as u8).collect();
        let mut fraction = self.fraction + other.fraction;
        while fraction > self.fraction.min(other.fraction) && digits.last() == Some(&0) {
            digits.pop();
            fraction -= 1;
        }
        Decimal::new(self.is_negative != other.is_negative, digits, fraction)
    }

    /// Which is greater.
    pub fn compare(&self, other: &Decimal) -> Ordering {
        let (a, b, _) = aligned(self, other);
        match (self.is_negative, other.is_negative) {
            (false, false) => a.cmp(&b),
            (true, true) => b.cmp(&a),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }

    /// Without zeros in front, with one digit at least before the point; zero has no sign.
    fn new(is_negative: bool, mut digits: Vec<u8>, fraction: usize) -> Decimal {
        if digits.len() <= fraction {
            let missing = fraction + 1 - digits.len();
            digits.splice(0..0, std::iter::repeat_n(0, missing));
        }
        let superfluous = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..superfluous.min(digits.len() - fraction - 1));
        Decimal {
            is_negative: is_negative && digits.iter().any(|digit| *digit != 0),
            digits,
            fraction,
        }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(self.digits.len() + 2);
        if self.is_negative {
            text.push('-');
        }
        let point = self.digits.len() - self.fraction;
        for (at, digit) in self.digits.iter().enumerate() {
            if at == point {
                text.push('.');
            }
            text.push(char::from(b'0' + digit));
        }
        f.write_str(&text)
    }
}

/// The digits of both, of the same length with the point at the same place, and how many stand behind it.
fn aligned(a: &Decimal, b: &Decimal) -> (Vec<u8>, Vec<u8>, usize) {
    let fraction = a.fraction.max(b.fraction);
    let whole = (a.digits.len() - a.fraction).max(b.digits.len() - b.fraction);
    let padded = |number: &Decimal| {
        let mut digits = vec![0; whole - (number.digits.len() - number.fraction)];
        digits.extend_from_slice(&number.digits);
        digits.resize(whole + fraction, 0);
        digits
    };
    (padded(a), padded(b), fraction)
}

/// The sum of digits of the same length.
fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = Vec::with_capacity(a.len() + 1);
    for (a, b) in a.iter().zip(b).rev() {
        let digit = a + b + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.push(carry);
    sum.reverse();
    sum
}

/// The difference of digits of the same length, the first ones being the greater number's.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference: Vec<u8> = Vec::with_capacity(a.len());
    for (a, b) in a.iter().zip(b).rev() {
        let digit = 10 + a - b - borrow;
        difference.push(digit % 10);
        borrow = 1 - digit / 10;
    }
    difference.reverse();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn texts_are_read_and_written() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.00", "0.00"),
            (" +12.50 ", "12.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007", "7"),
            ("1e3", "1000"),
            ("-1.25E-2", "-0.0125"),
            ("12.5e1", "125"),
            (
                "99999999999999999999999999999999999999999.1",
                "99999999999999999999999999999999999999999.1",
            ),
        ] {
            assert_eq!(decimal(text).to_string(), expected, "{text}");
        }
        for text in [
            "", "-", ".", "1.2.3", "abc", "1e", "1e99999", "0x10", "1 2", "Inf", "٣",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        assert_eq!(Decimal::from_real(0.5).unwrap().unscaled(3, 2), Some(50));
        assert_eq!(Decimal::from_real(0.1).unwrap().unscaled(38, 37), None);
        assert!(Decimal::from_real(f64::INFINITY).is_none());
    }

    #[test]
    fn sums_products_and_order_are_those_of_integers() {
        let values = [
            -1_000_000_007i128,
            -990,
            -100,
            -99,
            -1,
            0,
            1,
            9,
            10,
            101,
            12_345,
            999_999,
        ];
        for a in values {
            for b in values {
                for (s, t) in [(0, 0), (2, 0), (1, 3)] {
                    let (x, y) = (Decimal::from_unscaled(a, s), Decimal::from_unscaled(b, t));
                    let scale = s.max(t);
                    let power = |by: u8| 10i128.pow(by.into());
                    let (a, b) = (a * power(scale - s), b * power(scale - t));
                    assert_eq!(x.add(&y).unscaled(38, scale), Some(a + b), "{x} + {y}");
                    assert_eq!(
                        x.add(&y.negated()).unscaled(38, scale),
                        Some(a - b),
                        "{x} - {y}"
                    );
                    assert_eq!(
                        x.multiply(&y).unscaled(38, 2 * scale),
                        Some(a * b),
                        "{x} * {y}"
                    );
                    assert_eq!(x.compare(&y), a.cmp(&b), "{x} <=> {y}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(decimal("123.45").unscaled(5, 2), Some(12345));
        assert_eq!(decimal("123.450").unscaled(5, 2), Some(12345));
        assert_eq!(decimal("123.455").unscaled(6, 2), None);
        assert_eq!(decimal("1234").unscaled(5, 2), None);
        assert_eq!(
            decimal("-99999999999999999999999999999999999999").unscaled(38, 0),
            Some(1 - 10i128.pow(38))
        );
        assert_eq!(decimal("0.000").unscaled(1, 1), Some(0));
    }
}

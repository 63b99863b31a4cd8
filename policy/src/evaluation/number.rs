//! Numbers in conditions (RFC 2704 §4.4, §4.6.5): 32-bit integers that do not wrap, floats that are always finite, and the
//! conversion of strings by `@` and `&`.

use super::fault::Fault;
use crate::syntax::tree::Operator;

/// A type of number in conditions.
pub trait Arithmetic: Copy {
    /// Computes `self operator right`.
    ///
    /// # Errors
    /// Division by zero, or a result outside the type.
    fn compute(self, operator: Operator, right: Self) -> Result<Self, Fault>;

    /// Computes `-self`.
    ///
    /// # Errors
    /// A result outside the type.
    fn negate(self) -> Result<Self, Fault>;

    /// The number that a string spells; zero if it spells none, or one outside the type.
    fn read(text: &[u8]) -> Self;
}

impl Arithmetic for i32 {
    fn compute(self, operator: Operator, right: Self) -> Result<Self, Fault> {
        let result = match operator {
            Operator::Add => self.checked_add(right),
            Operator::Subtract => self.checked_sub(right),
            Operator::Multiply => self.checked_mul(right),
            Operator::Divide | Operator::Remainder if right == 0 => {
                return Err(Fault::DivisionByZero);
            }
            Operator::Divide => self.checked_div(right),
            Operator::Remainder => self.checked_rem(right),
            // A power with a negative exponent is 0, as in the reference implementation.
            Operator::Power => {
                u32::try_from(right).map_or(Some(0), |exponent| self.checked_pow(exponent))
            }
        };
        result.ok_or(Fault::Overflow)
    }

    fn negate(self) -> Result<Self, Fault> {
        self.checked_neg().ok_or(Fault::Overflow)
    }

    /// Rounds down. A value outside the type counts as no number, and so as zero.
    fn read(text: &[u8]) -> Self {
        let Some(Decimal { negative, whole, fraction }) = Decimal::parse(text) else { return 0 };
        let magnitude = whole.iter().try_fold(0_i64, |value, digit| {
            let value = value * 10 + i64::from(digit - b'0');
            (value <= 1 << 32).then_some(value)
        });
        let below = i64::from(negative && fraction.iter().any(|digit| *digit != b'0'));
        magnitude
            .map(|magnitude| if negative { -magnitude - below } else { magnitude })
            .and_then(|value| Self::try_from(value).ok())
            .unwrap_or(0)
    }
}

impl Arithmetic for f64 {
    fn compute(self, operator: Operator, right: Self) -> Result<Self, Fault> {
        let result = match operator {
            Operator::Add => self + right,
            Operator::Subtract => self - right,
            Operator::Multiply => self * right,
            Operator::Divide | Operator::Remainder if right == 0.0 => {
                return Err(Fault::DivisionByZero);
            }
            Operator::Divide => self / right,
            Operator::Remainder => self % right,
            Operator::Power => self.powf(right),
        };
        if result.is_finite() { Ok(result) } else { Err(Fault::Overflow) }
    }

    fn negate(self) -> Result<Self, Fault> {
        Ok(-self)
    }

    fn read(text: &[u8]) -> Self {
        Decimal::parse(text)
            .and_then(|_| std::str::from_utf8(text).ok()?.parse::<Self>().ok())
            .filter(|value| value.is_finite())
            .unwrap_or(0.0)
    }
}

/// A decimal number such as `-12.5`: an optional minus sign, and digits, with a point before, between or after them. Spaces, `+`,
/// exponents and hexadecimal digits are invalid.
struct Decimal<'t> {
    negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
}

impl<'t> Decimal<'t> {
    fn parse(text: &'t [u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
        let whole = digits.get(..point)?;
        let fraction = digits.get(point + 1..).unwrap_or_default();
        let number = whole.iter().chain(fraction).all(u8::is_ascii_digit)
            && whole.len() + fraction.len() > 0;
        number.then_some(Self { negative, whole, fraction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_rounded_down_and_never_wrap() {
        for (text, value) in [
            ("5", 5),
            ("-5", -5),
            ("010", 10),
            ("1.9", 1),
            ("-1.5", -2),
            ("-1.0", -1),
            ("2147483647.9", i32::MAX),
            ("2147483648", 0),
            ("-2147483648", i32::MIN),
            ("-2147483648.5", 0),
            ("99999999999999999999999", 0),
            ("", 0),
            ("-", 0),
            (".", 0),
            ("+5", 0),
            (" 5", 0),
            ("5 ", 0),
            ("1e3", 0),
            ("0x10", 0),
            ("1.2.3", 0),
            ("--5", 0),
        ] {
            assert_eq!(i32::read(text.as_bytes()), value, "{text}");
        }
        assert_eq!(i32::read(&vec![b'0'; 1 << 20]), 0);
    }

    #[test]
    fn floats_are_read_without_exponents_and_stay_finite() {
        for (text, value) in
            [("1.25", 1.25), ("-1.5", -1.5), ("7", 7.0), ("1e3", 0.0), ("inf", 0.0), ("NaN", 0.0)]
        {
            assert!((f64::read(text.as_bytes()) - value).abs() < f64::EPSILON, "{text}");
        }
        assert!(f64::read(&vec![b'9'; 400]).abs() < f64::EPSILON);
        assert_eq!(1e300.compute(Operator::Multiply, 1e300), Err(Fault::Overflow));
        assert_eq!(1.0.compute(Operator::Divide, 0.0), Err(Fault::DivisionByZero));
        assert_eq!((-1.0).compute(Operator::Power, 0.5), Err(Fault::Overflow));
    }

    #[test]
    fn arithmetic_truncates_toward_zero_and_refuses_what_does_not_fit() {
        use Operator::{Add, Divide, Multiply, Power, Remainder, Subtract};
        for (left, operator, right, result) in [
            (-7, Divide, 2, Ok(-3)),
            (-7, Remainder, 3, Ok(-1)),
            (2, Power, -1, Ok(0)),
            (1, Power, -1, Ok(0)),
            (0, Power, 0, Ok(1)),
            (-1, Power, i32::MAX, Ok(-1)),
            (2, Power, i32::MAX, Err(Fault::Overflow)),
            (i32::MAX, Add, 1, Err(Fault::Overflow)),
            (i32::MIN, Subtract, 1, Err(Fault::Overflow)),
            (1 << 20, Multiply, 1 << 20, Err(Fault::Overflow)),
            (i32::MIN, Divide, -1, Err(Fault::Overflow)),
            (i32::MIN, Remainder, -1, Err(Fault::Overflow)),
            (1, Divide, 0, Err(Fault::DivisionByZero)),
            (1, Remainder, 0, Err(Fault::DivisionByZero)),
        ] {
            assert_eq!(
                left.compute(operator, right),
                result,
                "{left} {} {right}",
                operator.symbol()
            );
        }
        assert_eq!(i32::MIN.negate(), Err(Fault::Overflow));
    }
}

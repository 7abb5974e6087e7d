//! Keys as JSON (RFC 7517; their members: RFC 7518, section 6, and RFC 8037, section 2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::algorithm::Curve;
use super::compact::LONGEST_KEY_NAME;
use super::json::{Object, parse_object};
use super::key::{Key, Material};
use super::key_list::{KeyList, Refused};
use super::problem::KeyProblem;
use crate::config::JwtAlgorithm;

/// Reads a JWK set, or one JWK. Keys of other types and for other uses are passed over, as RFC 7517, section 5, says.
pub(super) fn parse(text: &[u8]) -> Result<KeyList, KeyProblem> {
    let object = parse_object(text).map_err(|error| KeyProblem::Json(position(&error)))?;
    let Some(members) = object.get("keys") else {
        return match parse_key(&object)? {
            Some(key) => Ok(KeyList {
                keys: vec![key],
                ..KeyList::default()
            }),
            None => Err(KeyProblem::NoneOfUse),
        };
    };
    parse_list(members.as_array().ok_or(KeyProblem::NoList)?)
}

/// Where JSON is wrong, without the words that stand there.
fn position(error: &serde_json::Error) -> String {
    format!("wrong in line {}, column {}", error.line(), error.column())
}

fn parse_list(members: &[Value]) -> Result<KeyList, KeyProblem> {
    let mut list = KeyList::default();
    for (number, member) in (1..).zip(members) {
        let object = member.as_object().ok_or(KeyProblem::NoList)?;
        match parse_key(object) {
            Ok(key) => list.keys.extend(key),
            Err(problem) => list.refused.push(Refused {
                name: object.get("kid").and_then(Value::as_str).map(str::to_owned),
                problem: KeyProblem::InSet {
                    number,
                    problem: Box::new(problem),
                },
            }),
        }
    }
    if list.keys.is_empty() && list.refused.is_empty() {
        return Err(KeyProblem::NoneOfUse);
    }
    Ok(list)
}

/// A key; none where it is for another purpose or of a type that isn't known.
fn parse_key(object: &Object) -> Result<Option<Key>, KeyProblem> {
    if !is_for_checking(object)? {
        return Ok(None);
    }
    let algorithm = match text(object, "alg")? {
        None => None,
        Some(name) => match JwtAlgorithm::of_name(name) {
            None => return Ok(None),
            known => known,
        },
    };
    let Some(material) = parse_material(object)? else {
        return Ok(None);
    };
    let mut key = Key::new(material);
    if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
        return Err(KeyProblem::Member(
            "alg",
            "an algorithm that the key is of the type and size for",
        ));
    }
    key.algorithm = algorithm;
    key.name = text(object, "kid")?.map(str::to_owned);
    if key
        .name
        .as_ref()
        .is_some_and(|name| name.len() > LONGEST_KEY_NAME)
    {
        return Err(KeyProblem::LongName);
    }
    Ok(Some(key))
}

fn is_for_checking(object: &Object) -> Result<bool, KeyProblem> {
    let for_signatures = text(object, "use")?.is_none_or(|purpose| purpose == "sig");
    let may_verify = match object.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => return Err(KeyProblem::Member("key_ops", "a list")),
    };
    Ok(for_signatures && may_verify)
}

fn parse_material(object: &Object) -> Result<Option<Material>, KeyProblem> {
    let key_type = text(object, "kty")?.ok_or(KeyProblem::Member("kty", "the key's type"))?;
    if key_type != "oct" && object.contains_key("d") {
        return Err(KeyProblem::Private);
    }
    match key_type {
        "oct" => Material::secret(&Zeroizing::new(bytes(object, "k")?)).map(Some),
        "RSA" => Material::rsa(bytes(object, "n")?, bytes(object, "e")?).map(Some),
        "EC" => match Curve::of_name(curve(object)?) {
            None => Ok(None),
            Some(curve) => {
                let [x, y] = [coordinate(object, "x", curve)?, coordinate(object, "y", curve)?];
                Material::ecdsa(curve, [&[4][..], &x, &y].concat()).map(Some)
            }
        },
        "OKP" if curve(object)? == "Ed25519" => Material::ed25519(&bytes(object, "x")?).map(Some),
        _ => Ok(None),
    }
}

fn curve(object: &Object) -> Result<&str, KeyProblem> {
    text(object, "crv")?.ok_or(KeyProblem::Member("crv", "the key's curve"))
}

/// Always as long as the curve's, with zeros before it (RFC 7518, section 6.2.1.2): a shorter one would move its bytes into
/// the other's place.
fn coordinate(object: &Object, member: &'static str, curve: Curve) -> Result<Vec<u8>, KeyProblem> {
    let coordinate = bytes(object, member)?;
    if coordinate.len() == curve.coordinate_length() {
        Ok(coordinate)
    } else {
        Err(KeyProblem::Member(member, "a coordinate of the curve's length"))
    }
}

fn bytes(object: &Object, member: &'static str) -> Result<Vec<u8>, KeyProblem> {
    const SHAPE: &str = "there, in base64url without padding";
    let text = text(object, member)?.ok_or(KeyProblem::Member(member, SHAPE))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyProblem::Member(member, SHAPE))
}

fn text<'object>(object: &'object Object, member: &'static str) -> Result<Option<&'object str>, KeyProblem> {
    match object.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyProblem::Member(member, "a string")),
    }
}

//! ServiceAccount tokens, checked as AWS checks them: against what the cluster publishes for everybody.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Cluster;

/// The cluster's issuer and public keys.
#[derive(Clone)]
pub(crate) struct Verifier {
    issuer: String,
    keys: Vec<Value>,
}

/// Who a token speaks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// From issue to expiry, in seconds.
    pub(crate) lifetime: i64,
}

impl Verifier {
    /// Reads the discovery document and the keys.
    pub(crate) async fn of(cluster: &Cluster) -> Verifier {
        let discovery = cluster.client().get("/.well-known/openid-configuration").await.unwrap();
        let keys = cluster.client().get("/openid/v1/jwks").await.unwrap();
        Verifier {
            issuer: discovery["issuer"].as_str().unwrap().to_owned(),
            keys: keys["keys"].as_array().unwrap().clone(),
        }
    }

    /// Checks signature, issuer, audience and time.
    pub(crate) fn verify(&self, token: &str, audience: &str) -> Result<Claims, String> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("not three parts".to_owned());
        };
        let (head, claims) = (json_part(header)?, json_part(payload)?);
        if head["alg"] != "RS256" {
            return Err(format!("algorithm {}", head["alg"]));
        }
        let key = self.keys.iter().find(|key| key["kid"] == head["kid"]).ok_or("unknown key")?;
        let key = RsaPublicKeyComponents { n: bytes(&key["n"])?, e: bytes(&key["e"])? };
        let signed = format!("{header}.{payload}");
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "wrong signature")?;

        if claims["iss"] != *self.issuer {
            return Err(format!("issuer {}", claims["iss"]));
        }
        if claims["aud"] != serde_json::json!([audience]) {
            return Err(format!("audience {}, not `{audience}`", claims["aud"]));
        }
        let time = |claim: &str| claims[claim].as_i64().ok_or(format!("no {claim}"));
        let (not_before, expiry, now) = (time("nbf")?, time("exp")?, Timestamp::now().as_second());
        // Both clocks are this machine's.
        if !(not_before..expiry).contains(&now) {
            return Err(format!("valid from {not_before} to {expiry}, now it is {now}"));
        }
        let subject = claims["sub"].as_str().ok_or("no subject")?.to_owned();
        Ok(Claims { subject, lifetime: expiry - time("iat")? })
    }
}

fn json_part(part: &str) -> Result<Value, String> {
    serde_json::from_slice(&decode(part)?).map_err(|error| error.to_string())
}

fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    decode(value.as_str().unwrap_or_default())
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string())
}

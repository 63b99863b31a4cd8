//! ir, cr and kur: from the request to the checked certificate (RFC 9483 §4.1).

use super::certificate::AnswerProtection;
use super::peer::Client;
use super::poll::{Checkpoint, Waiting};
use super::response::{self, Decision};
use super::transaction::{Outgoing, Transaction, request_id};
use crate::client::{ClientError, EnrolmentRequest, Issued};
use crate::cmp::wire::content::{NO_REQUEST_ID, cert_req_id};
use crate::cmp::wire::mac::is_mac_algorithm;
use crate::cmp::wire::message::Message;
use crate::cmp::wire::{kind, oid};

impl Client<'_> {
    /// Asks for a certificate, and checks the one that is returned. A bad certificate is rejected in a certConf, unless the CA granted
    /// implicit confirmation.
    ///
    /// `checkpoint` is called with each state in which the CA has not decided yet: with such a state, [`Self::resume`] can continue later.
    ///
    /// # Errors
    /// [`ClientError::BadCertificate`] for a certificate that must not be accepted, and those of an exchange of messages. After
    /// [`ClientError::Waiting`], [`Self::resume`] can continue.
    pub fn request(
        &self,
        request: &EnrolmentRequest<'_>,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let mut transaction = Transaction::begin(self)?;
        let outgoing = Outgoing {
            kind: request.body.request(),
            content: request.encode()?,
            infos: request.infos()?,
            ..Outgoing::default()
        };
        let answer = transaction.exchange(&outgoing)?;
        transaction.conclude(request, answer, checkpoint)
    }

    /// Continues a request whose CA had not decided.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn resume(
        &self,
        request: &EnrolmentRequest<'_>,
        waiting: &Waiting,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let (id, nonce) = (waiting.transaction.clone(), Some(waiting.nonce.clone()));
        let mut transaction = Transaction::resume(self, id, nonce)?;
        let answer = transaction.poll(&request_id()?, None, checkpoint)?;
        transaction.conclude(request, answer, checkpoint)
    }
}

impl Transaction<'_> {
    /// Polls until the CA has decided, and checks the certificate.
    fn conclude(
        mut self,
        request: &EnrolmentRequest<'_>,
        mut answer: Message,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Issued, ClientError> {
        let (expected, asked) = (request.body.response(), kind::name(request.body.request()));
        let id = request_id()?;
        let granted = loop {
            // An error message with the status "waiting" stands for a response that comes later (RFC 9483 §4.4).
            if answer.kind == kind::ERROR {
                let no_id = cert_req_id(NO_REQUEST_ID).map_err(ClientError::encoding)?;
                answer = self.poll(&no_id, None, &mut *checkpoint)?;
                continue;
            }
            match response::decision(&answer, expected, asked, &id)? {
                Decision::Waiting(reason) => {
                    answer = self.poll(&id, Some(&reason), &mut *checkpoint)?;
                }
                Decision::Granted(granted) => break *granted,
            }
        };
        let header = &answer.header;
        let mut infos = header.general_info.iter().flatten();
        let is_implicit =
            request.implicit_confirm && infos.any(|info| info.info_type == oid::IMPLICIT_CONFIRM);
        let algorithm = header.protection_alg.as_ref();
        let protection = match algorithm.is_some_and(|found| is_mac_algorithm(found.oid)) {
            true => AnswerProtection::Mac,
            false => AnswerProtection::Signature,
        };
        match self.examine(request, &granted, protection) {
            Ok(examined) => Ok(match is_implicit {
                true => examined.into_confirmed(granted.certificate),
                false => self.into_unconfirmed(examined, granted),
            }),
            Err(why) => {
                if !is_implicit {
                    // It does not matter whether the rejection arrives: the CA revokes a certificate that is never confirmed.
                    let _ = self.reject(&granted.certificate, &why.to_string());
                }
                Err(match why {
                    ClientError::Untrusted(why) => ClientError::BadCertificate(why),
                    other => other,
                })
            }
        }
    }
}

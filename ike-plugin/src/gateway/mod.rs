//! Files for gateways: what each IKE daemon needs, written ready to run; and whether two of them would come up.

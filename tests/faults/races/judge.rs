//! What has to be true of a race that is over.
//!
//! Must never forgive what the plan did not foresee: every answer is named or wrong.

use super::journal::{Replay, named};
use super::plan::{Activity, Ending};
use super::play::Played;

/// What is wrong, by what was asked and answered alone.
pub(crate) fn by_answers(played: &Played) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let plan = &played.plan;
    // One that the other login has replaced already is not there to be ended.
    let replaced = plan.activity == Activity::Login && plan.same_browser;
    let ended = match plan.ending {
        Ending::AdminSession => played.ending == 204 || played.ending == 404 && replaced,
        _ => played.ending == 200,
    };
    must(ended, format!("the ending was answered with {}", played.ending));
    must(
        played.after_end.iter().all(|status| *status == 401),
        format!("the ended session opens {:?}", played.after_end),
    );
    must(
        played.uses.iter().all(|status| matches!(status, 200 | 401)),
        format!("its use was answered with {:?}", played.uses),
    );
    if let Some((_, opens)) = &played.afterwards {
        must(opens.iter().all(|status| *status == 200), format!("a login begun afterwards opens {opens:?}"));
    }
    let Some(login) = &played.login else { return wrong };
    let opens = &played.login_opens;
    let alive = !opens.is_empty() && opens.iter().all(|status| *status == 200);
    let dead = opens.iter().all(|status| *status == 401);
    must(alive || dead, format!("the replicas disagree on the other login: {opens:?}"));
    must(
        login.status == 303 && login.seat.is_some() || login.status == 403 && login.seat.is_none(),
        format!(
            "the other login was answered with {}, session {:?}",
            login.status,
            login.seat.as_ref().map(|seat| &seat.key)
        ),
    );
    must(!alive || played.login_refreshes == Some(200), format!("its tokens: {:?}", played.login_refreshes));
    let covered = match plan.ending {
        Ending::BackchannelSub | Ending::AdminUser | Ending::Everybody => true,
        Ending::BackchannelSid | Ending::Frame => plan.same_sid,
        Ending::Logout | Ending::AdminSession => false,
    };
    if plan.ending == Ending::BackchannelSid && plan.same_sid {
        must(dead, "a login lives whose session at the provider has ended".to_owned());
    } else if !covered || login.sent > played.acknowledged {
        must(alive, "the ending ended a login that is none of its business".to_owned());
    } else if plan.is_by_user() && played.login_was_begun {
        // Its state was burnt, and the number read, before the provider was asked.
        must(dead, "a login lives that was under way when its end was asked for".to_owned());
    } else if login.answered < played.asked {
        must(dead, "a login lives that was over before its end was asked for".to_owned());
    }
    if plan.ending == Ending::Frame {
        must(login.status == 303, "a frame that proves nothing kept somebody out".to_owned());
    }
    wrong
}

/// What is wrong, by what the store did.
pub(crate) fn by_store(played: &Played, replay: &Replay, issuer: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let plan = &played.plan;
    match replay.lives.get(&played.first.key) {
        None => wrong.push("the session was never stored".to_owned()),
        Some(life) if life.to.is_none_or(|to| to > played.acknowledged) => {
            wrong.push(format!("the record stood when the end was acknowledged: {life:?}"));
        }
        Some(_) => {}
    }
    let user = named("user", &[issuer, &plan.user]);
    let members = replay.members.get(&user).cloned().unwrap_or_default();
    let held = played.held();
    for key in &held {
        if !members.contains_key(*key) {
            wrong.push(format!("the user's index never named the session {key}"));
        }
    }
    for key in members.keys().filter(|key| replay.lived(key, played.over) && !held.contains(&key.as_str())) {
        wrong.push(format!("nobody holds the cookie of the session {key}, which lives"));
    }
    if !plan.is_by_user() {
        return wrong;
    }
    let name = match plan.ending {
        Ending::Everybody => "vestibule:session:{generation}".to_owned(),
        _ => named("revoked", &[issuer, &plan.user]),
    };
    let Some(number) = replay.number(&name, played.acknowledged) else {
        wrong.push("the revocation has no number".to_owned());
        return wrong;
    };
    for (session, born) in members {
        let (alive, older) = (replay.lived(&session, played.over), born < number);
        if older && alive {
            wrong.push(format!("the session {session}, born {born}, lives in spite of the revocation {number}"));
        }
        if !older && !alive {
            wrong.push(format!(
                "the session {session}, born {born}, is not covered by the revocation {number}, and gone"
            ));
        }
    }
    wrong
}

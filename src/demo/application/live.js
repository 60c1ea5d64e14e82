(() => {
  const at = name => document.querySelector(`[data-live=${name}]`);
  const say = (name, text) => { const place = at(name); if (place) place.textContent = text; };
  const show = name => { const place = at(name); if (place) place.hidden = false; };
  const tabs = new BroadcastChannel('vestibule-demo');
  let pressed = 0, over = false;

  show('bar');
  say('script-sees', document.cookie === '' ? 'nothing' : document.cookie);

  const span = seconds => {
    const [h, m, s] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(Math.floor);
    return h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
  };

  const ask = async path => {
    try { return await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store' }); } catch { return null; }
  };

  const look = async cut => {
    const answer = await ask('/oauth2/session');
    if (answer?.status === 401) return ended(cut);
    if (answer?.ok) {
      const session = await answer.json();
      say('left', `ends in ${span(session.expires_in)}, or after ${span(session.idle_expires_in)} without you`);
      say('ends', `${span(session.expires_in)} left`);
    }
  };

  const ended = async cut => {
    if (over) return;
    over = true;
    stream.close();
    const took = pressed ? ` ${Math.max(0, Date.now() - pressed)} ms after the button was pressed` : '';
    at('bar').classList.add('over');
    say('state', 'Your session has ended');
    say('left', '');
    say('clock', cut ? `closed by the gateway${took}` : 'still open when the next question was refused');
    const answer = await ask('/api/whoami');
    say('note', `A script that asks for /api/whoami now gets ${answer ? answer.status : 'no answer'} and ` +
      `${answer?.headers.get('content-type') ?? 'nothing'}: an honest answer, not a login page. This page is all that is left.`);
    show('note');
    show('again');
  };

  let stream;
  const listen = () => {
    stream = new EventSource('/events');
    stream.addEventListener('tick', event => say('clock', JSON.parse(event.data).at.slice(11, 19)));
    stream.onerror = async () => {
      stream.close();
      await look(true);
      if (!over) { say('clock', 'opening again'); setTimeout(listen, 2000); }
    };
  };
  listen();
  look();
  setInterval(() => over || document.hidden || look(), 10000);
  setInterval(() => {
    const meter = at('token-left');
    if (!meter || over) return;
    meter.value = Math.max(0, meter.value - 1);
    say('token-seconds', meter.value > 0 ? `${meter.value} seconds left` : 'expired by now, and no harm: the next request carries a fresh one');
  }, 1000);

  tabs.onmessage = event => {
    pressed = event.data;
    setTimeout(() => over || look(), 2500);
  };
  for (const form of document.querySelectorAll('[data-live=end]'))
    form.addEventListener('submit', () => tabs.postMessage(Date.now()));

  for (const button of document.querySelectorAll('button[data-ask]')) {
    button.hidden = false;
    button.onclick = async () => {
      const result = document.getElementById(button.dataset.result);
      result.textContent = '…';
      if (button.dataset.ask === 'forge') {
        const forged = { 'X-Vestibule-Identity': 'i.am.grace', 'X_Vestibule_Identity': 'i.am.grace', 'X-Forwarded-User': 'grace', 'X-Harmless': 'hello' };
        const answer = await fetch('/public/headers', { headers: forged, cache: 'no-store' });
        const arrived = (await answer.json()).headers.map(([name]) => name);
        result.textContent = Object.keys(forged)
          .map(name => `${name}: ${arrived.includes(name.toLowerCase()) ? 'arrived' : 'removed by the gateway'}`).join('\n');
      } else {
        const answer = await ask(button.dataset.ask);
        result.textContent = answer
          ? `${answer.status} ${answer.headers.get('content-type')}\n${JSON.stringify(await answer.json(), null, 1)}` : 'no answer';
      }
    };
  }
})();

'use strict';

// The choices of a person: two images, lam, mixers, and the network that judges.
(() => {
  const data = JSON.parse(byId('data').textContent);
  const steps = data.lams.length;
  const { load, paint } = makePictures(data);
  const showCards = makeCards(data, paint);
  const state = {
    a: 0,
    b: 1,
    step: Math.floor((steps - 1) / 2),
    judge: 0,
    mixers: data.mixers.map(() => true),
  };
  const short = (value) => String(Number(value.toFixed(3)));
  const name = (image) => data.images[image].name;

  function show() {
    const lam = short(data.lams[state.step]);
    const slider = byId('lam');
    slider.value = state.step;
    slider.setAttribute('aria-valuetext', `${lam} of a`);
    byId('lam-out').textContent = lam;
    for (const side of ['a', 'b']) {
      const image = data.images[state[side]];
      byId(`end-${side}`).src = image.src;
      byId(`end-${side}`).alt = `Image ${side}: ${image.name}`;
      byId(`pick-${side}`).querySelectorAll('input')[state[side]].checked = true;
      const network = data.networks[state.judge];
      const [seen, score] = network ? network.clean[state[side]] : [];
      const said = network ? `: ${network.classes[seen]}, ${(score / 10).toFixed(1)} %` : '';
      byId(`pick-${side}`).querySelector('.picked').textContent = image.name + said;
    }
    showCards(state);
    byId('none').hidden = state.mixers.some(Boolean);
    byId('status').textContent = `λ ${lam}: ${name(state.a)} and ${name(state.b)}`;
  }

  // Choosing for one side the image of the other side swaps them.
  function choose(side, image) {
    const other = side === 'a' ? 'b' : 'a';
    if (state[other] === image) state[other] = state[side];
    state[side] = image;
    show();
  }

  function makePicker(side) {
    const thumbs = byId(`pick-${side}`).querySelector('.thumbs');
    data.images.forEach((image, number) => {
      const label = add(thumbs, 'label', { title: image.name });
      const input = add(label, 'input', { type: 'radio', name: `image-${side}` });
      add(label, 'img', { src: image.src, alt: image.name });
      input.addEventListener('change', () => choose(side, number));
    });
  }

  function makeMixers() {
    data.mixers.forEach((mixer, number) => {
      const list = byId('mixers').querySelector('.chips');
      const label = add(list, 'label', { class: mixer.note ? 'noted' : '' });
      const input = add(label, 'input', { type: 'checkbox' });
      input.checked = true;
      const text = add(label, 'span', {}, mixer.name);
      if (mixer.note) add(text, 'small', {}, mixer.note);
      input.addEventListener('change', () => {
        state.mixers[number] = input.checked;
        show();
      });
    });
  }

  function makeJudges() {
    const select = byId('judge');
    data.networks.forEach((network, number) => {
      add(select, 'option', { value: number }, network.name);
    });
    byId('judging').hidden = byId('mark').hidden = byId('guessed').hidden = data.networks.length === 0;
    select.addEventListener('change', () => {
      state.judge = Number(select.value);
      show();
    });
  }

  function moveTo(step) {
    state.step = Math.min(Math.max(step, 0), steps - 1);
    show();
  }

  function makeSlider() {
    const slider = byId('lam');
    slider.max = steps - 1;
    slider.addEventListener('input', () => moveTo(Number(slider.value)));
    const ticks = slider.parentElement.querySelector('.ticks');
    for (const lam of data.lams) add(ticks, 'span', {}, short(lam));
    const told = data.lams.map(short).join(', ');
    byId('steps').textContent = `Computed for λ = ${told}: the slider stops there, and nothing in `
      + 'between is guessed. Boxes and noise are the same for all λ.';
    document.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const free = document.activeElement === document.body || !document.activeElement;
      if (!move || !free || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      moveTo(state.step + move);
    });
  }

  function makeTheme() {
    const button = byId('theme');
    const system = window.matchMedia('(prefers-color-scheme: dark)');
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
    const tell = () => {
      button.textContent = isDark() ? 'Light colours' : 'Dark colours';
    };
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      tell();
    });
    system.addEventListener('change', tell);
    tell();
  }

  async function start() {
    makeTheme();
    document.body.classList.toggle('pixels', data.size[1] <= 64);
    ['a', 'b'].forEach(makePicker);
    makeMixers();
    makeJudges();
    makeSlider();
    byId('swap').addEventListener('click', () => choose('a', state.b));
    await load();
    show();
    document.body.dataset.ready = '';
  }

  start().catch((error) => {
    byId('failure').hidden = false;
    byId('failure').textContent = `The page cannot show its pictures: ${error.message}`;
    throw error;
  });
})();

// The viewer of survey images: a document of its own, shown in a frame, with an origin that has nothing. A script from elsewhere
// runs here and nowhere else.
import './sky-frame.css';
import { type Aladin, fetchAladin, type Library } from './lib/aladin';
import { hms, wrap360 } from './lib/sky';
import { type Marker, type Told, type View, viewOf, type Why } from './lib/skyview';
import { SURVEYS } from './lib/surveys';

const page = window.parent;
const sky = document.getElementById('sky')!;
const where = document.getElementById('where')!;

/** On images, which are dark in both looks. */
const MARKS: Record<Marker['kind'], Record<string, unknown>> = {
  self: { shape: 'circle', color: '#5cc9e8', sourceSize: 24 },
  alert: { shape: 'plus', color: '#ffb648', sourceSize: 20 },
  other: { shape: 'square', color: '#8ee6a0', sourceSize: 14 },
};
/** Widths that one can zoom to [deg]. */
const [NARROWEST, WIDEST] = [0.002, 60];
const FARTHEST_DEC = 89.99;
const DEG = Math.PI / 180;

/** Only to the page that this came from: the address of this document is one with that, though its origin is not. */
function tell(told: Told): void {
  page.postMessage(told, location.origin);
}

const failed = (why: Why): void => tell({ say: 'failed', why });

/** The viewer over a view's place. */
class Viewer {
  #aladin: Aladin;
  #survey: string;

  constructor(
    private readonly library: Library,
    private readonly home: View,
  ) {
    this.#survey = home.survey;
    this.#aladin = library.aladin(sky, {
      survey: this.#images(),
      target: `${home.ra} ${home.dec}`,
      fov: home.fov,
      cooFrame: 'ICRSd',
      projection: 'TAN',
      mode: home.dark ? 'dark' : 'light',
      backgroundColor: home.dark ? 'rgb(11, 17, 22)' : 'rgb(60, 68, 74)',
      // It would tell CDS of each start.
      log: false,
      hipsList: [],
      // What is shown beside the images is ours, with names for those who hear it.
      showReticle: false,
      showFrame: false,
      showFov: false,
      showCooLocation: false,
      showStatusBar: false,
      showZoomControl: false,
      showLayersControl: false,
      showFullscreenControl: false,
      showProjectionControl: false,
    });
    this.#mark();
    for (const event of ['positionChanged', 'zoomChanged'] as const) this.#aladin.on(event, () => this.#say());
    this.#aladin.on('objectClicked', (source) => {
      const id = source?.data?.id;
      if (typeof id === 'string') tell({ say: 'picked', id });
    });
    this.#say();
    document.documentElement.classList.add('shown');
  }

  /** Shows another survey. */
  show(survey: string): void {
    if (survey === this.#survey) return;
    this.#survey = survey;
    this.#aladin.setBaseImageLayer(this.#images());
  }

  zoom(factor: number): void {
    this.#aladin.setFoV(Math.min(WIDEST, Math.max(NARROWEST, this.#aladin.getFov()[0] * factor)));
  }

  /** Moves by so many parts of what is seen. */
  move(east: number, north: number): void {
    const [[ra, dec], [fov]] = [this.#aladin.getRaDec(), this.#aladin.getFov()];
    const to = Math.min(FARTHEST_DEC, Math.max(-FARTHEST_DEC, dec + north * fov));
    this.#aladin.gotoRaDec(wrap360(ra + (east * fov) / Math.cos(to * DEG)), to);
  }

  back(): void {
    this.#aladin.gotoRaDec(this.home.ra, this.home.dec);
    this.#aladin.setFoV(this.home.fov);
  }

  /** The survey's images, which tell the page whether they come. */
  #images(): object {
    const { id, name, url } = SURVEYS.find((survey) => survey.id === this.#survey) ?? SURVEYS[0]!;
    const current = (): boolean => id === this.#survey;
    const successCallback = (): void => {
      const [ra, dec] = this.#aladin.getRaDec();
      if (current()) tell({ say: 'shown', ra, dec });
    };
    const errorCallback = (): void => {
      if (current()) failed('images');
    };
    return this.library.HiPS(url, { name, successCallback, errorCallback });
  }

  #mark(): void {
    for (const [kind, look] of Object.entries(MARKS)) {
      const some = this.home.markers.filter((marker) => marker.kind === kind);
      if (!some.length) continue;
      const catalog = this.library.catalog({ name: kind, ...look });
      catalog.addSources(some.map(({ id, ra, dec }) => this.library.source(ra, dec, { id })));
      this.#aladin.addCatalog(catalog);
    }
  }

  #say(): void {
    const [[ra, dec], [fov]] = [this.#aladin.getRaDec(), this.#aladin.getFov()];
    where.textContent = `${hms(ra, dec)}, ${fov < 0.5 ? `${(fov * 60).toFixed(1)}′` : `${fov.toFixed(1)}°`}`;
  }
}

let viewer: Promise<Viewer | null> | null = null;

async function open(view: View): Promise<Viewer | null> {
  let library: Library;
  try {
    library = await fetchAladin();
  } catch {
    failed('script');
    return null;
  }
  try {
    await library.init;
    return new Viewer(library, view);
  } catch (error) {
    console.warn(error);
    failed('viewer');
    return null;
  }
}

async function show(view: View): Promise<void> {
  document.documentElement.dataset['theme'] = view.dark ? 'dark' : 'light';
  viewer ??= open(view);
  (await viewer)?.show(view.survey);
}

const act = (what: (viewer: Viewer) => void) => async (): Promise<void> => {
  const one = await viewer;
  if (one) what(one);
};
const nearer = act((one) => one.zoom(1 / 1.6));
const farther = act((one) => one.zoom(1.6));
const back = act((one) => one.back());
const STEP = 0.15;
const KEYS: Record<string, () => Promise<void>> = {
  '+': nearer,
  '=': nearer,
  '-': farther,
  '0': back,
  ArrowLeft: act((one) => one.move(STEP, 0)),
  ArrowRight: act((one) => one.move(-STEP, 0)),
  ArrowUp: act((one) => one.move(0, STEP)),
  ArrowDown: act((one) => one.move(0, -STEP)),
};

function onKey(event: KeyboardEvent): void {
  const run = KEYS[event.key];
  if (!run || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  void run();
}

function start(): void {
  addEventListener('message', (event) => {
    const view = event.source === page && event.origin === location.origin ? viewOf(event.data) : null;
    if (view) void show(view);
  });
  sky.addEventListener('keydown', onKey, true);
  document.getElementById('nearer')!.onclick = nearer;
  document.getElementById('farther')!.onclick = farther;
  document.getElementById('home')!.onclick = back;
  tell({ say: 'ready' });
}

// Opened by itself there is nobody to say what to show.
if (page !== window) start();

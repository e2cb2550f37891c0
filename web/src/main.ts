import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { startRouting } from './lib/route.svelte';
import { startTheme } from './lib/theme.svelte';
import { takeToken } from './lib/token';

takeToken();
startTheme();
startRouting();
mount(App, { target: document.getElementById('app')! });
